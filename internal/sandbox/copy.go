package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Opener is an Engine that can make the root file system of a sandbox alone.
type Opener interface {
	// Open makes it, with its mounts, instead of all else, until Destroy.
	Open(ctx context.Context, c Configuration) error
}

// Open makes the root file system alone, for copies, instead of a Bootstrap. It is
// there until Shutdown. An engine that is no Opener cannot:
// errdefs.ErrNotImplemented.
func (s *Sandbox) Open(ctx context.Context, c BootstrapConfig) error {
	if err := s.begin(nil); err != nil {
		return err
	}
	defer close(s.ready)
	err := s.identify(c)
	if err == nil {
		err = s.open(ctx, c.Configuration)
	}
	if err != nil {
		err = errors.Join(err, s.close(ctx))
		s.finish()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	return nil
}

// close undoes what Open has made, or a part of it.
func (s *Sandbox) close(ctx context.Context) error {
	engine := s.engine()
	if engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return engine.Destroy(ctx)
}

func (s *Sandbox) open(ctx context.Context, c Configuration) error {
	o, ok := s.engine().(Opener)
	if !ok {
		return fmt.Errorf("this runtime cannot copy while a container does not run: start it first: %w", errdefs.ErrNotImplemented)
	}
	return o.Open(ctx, c)
}

// Files returns the engine, for copying.Service, while it has a root file system.
func (s *Sandbox) Files() (any, error) {
	s.mu.Lock()
	opened := s.opened
	s.mu.Unlock()
	if opened {
		return s.engine(), nil
	}
	return s.engine(), s.live("has no files")
}

// live refuses what needs a sandbox that is made and has not ended.
func (s *Sandbox) live(without string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created && s.state != Running {
		return fmt.Errorf("sandbox %s: %s, it is %v: %w", s.id(), without, s.state, errdefs.ErrFailedPrecondition)
	}
	return nil
}
