package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/containerlog"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

// preparation is the part of a sandbox that needs no networks, in the making.
type preparation struct {
	config   BootstrapConfig
	design   design             // with no network yet
	cancel   context.CancelFunc // cuts it short
	isolated chan struct{}      // closed when namespace is set
	laid     chan struct{}      // closed when the engine has prepared
	done     chan struct{}      // closed when nothing is made any more

	namespace string // see design
	// Set before done is closed:
	log  *containerlog.Writer // nil: it was not opened
	main MainProcess
	err  error // why there is no main process
}

// Prepare begins to make all of a sandbox that needs no networks, and returns before
// that is done. Bootstrap goes on with it, and tells what has failed; Shutdown undoes
// it. c.Allocated and c.Start do not count. On an error the sandbox has ended.
func (s *Sandbox) Prepare(ctx context.Context, c BootstrapConfig) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &preparation{
		config: c, cancel: cancel,
		isolated: make(chan struct{}), laid: make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.begin(p); err != nil {
		cancel()
		return err
	}
	if p.err = s.identify(c); p.err == nil {
		p.design, p.err = s.draw(design{Configuration: c.Configuration, wished: c.DNS, hosts: c.Hosts}, nil)
	}
	if p.err != nil {
		close(p.done)
		return errors.Join(p.err, s.Shutdown(context.WithoutCancel(ctx)))
	}
	s.running.Go(func() {
		defer close(p.done)
		p.main, p.err = s.prepare(life, p)
	})
	return nil
}

// begin makes a Prepare, or what takes its place, the only one.
func (s *Sandbox) begin(p *preparation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return fmt.Errorf("sandbox %s: is bootstrapped already: %w", s.id(), errdefs.ErrFailedPrecondition)
	}
	s.begun, s.prepared = true, p
	return nil
}

// take hands what was prepared over to the first who asks for it; nil if there is
// nothing, or somebody has it.
func (s *Sandbox) take() *preparation {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.prepared
	s.prepared = nil
	return p
}

// takeOrPrepare is take for a Bootstrap, which needs no Prepare before.
func (s *Sandbox) takeOrPrepare(ctx context.Context, c BootstrapConfig) (*preparation, error) {
	if p := s.take(); p != nil {
		return p, nil
	}
	if err := s.Prepare(ctx, c); err != nil {
		return nil, err
	}
	if p := s.take(); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("sandbox %s: is shut down: %w", s.id(), errdefs.ErrFailedPrecondition)
}

// identify learns which sandbox this is, and makes its engine.
func (s *Sandbox) identify(c BootstrapConfig) (err error) {
	who := *s.self.Load()
	if c.StateDir != "" {
		who.id, who.stateDir = c.Configuration.ID, c.StateDir
	}
	if who.id == "" || !filepath.IsAbs(who.stateDir) {
		return fmt.Errorf("sandbox %q: state directory %q: want an id and an absolute path: %w", who.id, who.stateDir, errdefs.ErrFailedPrecondition)
	}
	if who.engine, err = s.config.Engine(who.id, who.stateDir); err != nil {
		return err
	}
	s.self.Store(&who)
	return nil
}

// prepare makes the main process, which does not begin before Start.
func (s *Sandbox) prepare(ctx context.Context, p *preparation) (main MainProcess, err error) {
	ctx, span := trace.Start(ctx, "make the main process")
	defer span.EndBy(&err)
	c := p.design.Configuration
	if p.log, err = openLog(&c, p.config.LogPath, p.config.LogLimits); err != nil {
		return nil, err
	}
	err = trace.Do(ctx, "get the namespaces", func(ctx context.Context) (err error) {
		p.namespace, err = s.engine().Isolate(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	close(p.isolated)
	if err := trace.Do(ctx, "prepare the root file system", func(ctx context.Context) error { return s.engine().Prepare(ctx, c) }); err != nil {
		return nil, err
	}
	close(p.laid)
	return s.engine().Create(ctx)
}

func openLog(c *Configuration, path string, limits resource.LogLimits) (*containerlog.Writer, error) {
	if path == "" {
		path, limits = os.DevNull, resource.LogLimits{}
	}
	log, err := containerlog.Create(path, limits)
	if err != nil {
		return nil, err
	}
	c.Stdout, c.Stderr = log.Stream(false), log.Stream(true)
	return log, nil
}

// await waits for an event of the preparation, which may fail before.
func (p *preparation) await(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// undo cuts a preparation short and takes away what it has made.
func (s *Sandbox) undo(ctx context.Context, p *preparation) error {
	p.cancel()
	<-p.done
	err := s.close(ctx)
	if p.log != nil {
		err = errors.Join(err, p.log.Close())
	}
	return err
}
