package sandbox

import (
	"context"

	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/sandbox/routes"
	"patchbay.dev/patchbay/internal/trace"
)

// make makes the interfaces and what tells of them, beside the main process: it does
// not begin before Start.
func (s *Sandbox) make(ctx context.Context, p *preparation, d *design, undo *revert.Stack) (MainProcess, error) {
	if err := p.await(ctx, p.isolated); err != nil {
		return nil, err
	}
	d.namespace = p.namespace
	undo.Add(func() error { s.leases.Release(); return nil })
	undo.Add(func() error { s.closePorts(ctx); return nil })
	undo.Add(func() error { s.names.Close(); return nil })
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, p.cancel)()
	group.Go(func() error {
		<-p.done
		return p.err
	})
	group.Go(func() error { return s.makeNetwork(ctx, d) })
	group.Go(func() error { return s.tell(ctx, p, d) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.ports.Serve()
	return p.main, nil
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
		return s.ports.Publish(ctx, routes.ByPriority(d.allocated), s.reach())
	})
}

// tell has the inside of the sandbox say which networks it has, as soon as there is an
// inside.
func (s *Sandbox) tell(ctx context.Context, p *preparation, d *design) (err error) {
	if err := p.await(ctx, p.laid); err != nil {
		return err
	}
	ctx, span := trace.Start(ctx, "serve names")
	defer span.EndBy(&err)
	if err := s.engine().Rewrite(d.Configuration); err != nil {
		return err
	}
	return s.names.Set(ctx, s.inside(), d.wish())
}
