package sandbox

import (
	"context"

	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/trace"
)

// make makes the isolation, then the interfaces and, beside them, the resolver and
// the main process: it does not begin before Start.
func (s *Sandbox) make(ctx context.Context, d *design, undo *revert.Stack) (main MainProcess, err error) {
	if d.namespace, err = s.isolate(ctx); err != nil {
		return nil, err
	}
	undo.Add(func() error { s.leases.Release(); return nil })
	undo.Add(func() error { s.closePorts(ctx); return nil })
	undo.Add(func() error { s.names.close(); return nil })
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		main, err = s.makeMain(ctx, d)
		return err
	})
	group.Go(func() error { return s.makeNetwork(ctx, d) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.ports.Serve()
	return main, nil
}

func (s *Sandbox) isolate(ctx context.Context) (namespace string, err error) {
	ctx, span := trace.Start(ctx, "get the namespaces")
	defer span.EndBy(&err)
	return s.engine().Isolate(ctx)
}

// makeMain makes the main process, and what it finds when it begins.
func (s *Sandbox) makeMain(ctx context.Context, d *design) (main MainProcess, err error) {
	ctx, span := trace.Start(ctx, "make the main process")
	defer span.EndBy(&err)
	err = trace.Do(ctx, "prepare the root file system", func(ctx context.Context) error { return s.engine().Prepare(ctx, d.Configuration) })
	if err != nil {
		return nil, err
	}
	err = trace.Do(ctx, "serve names", func(ctx context.Context) error {
		return s.names.serve(ctx, s.engine(), d.wished, d.allocated, s.config.Log)
	})
	if err != nil {
		return nil, err
	}
	return s.engine().Create(ctx)
}

// makeNetwork holds the leases and makes the interfaces.
func (s *Sandbox) makeNetwork(ctx context.Context, d *design) (err error) {
	ctx, span := trace.Start(ctx, "make the network")
	defer span.EndBy(&err)
	if err := s.leases.Hold(ctx, d.allocated, d.namespace); err != nil {
		return err
	}
	if err := trace.Do(ctx, "make the interfaces", func(ctx context.Context) error { return s.engine().Plug(ctx, d.plans) }); err != nil {
		return err
	}
	return trace.Do(ctx, "publish ports", func(ctx context.Context) error {
		return s.ports.Publish(ctx, byPriority(d.allocated), reachOf(s.engine()))
	})
}
