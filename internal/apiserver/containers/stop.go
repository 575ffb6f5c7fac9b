package containers

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/blueprint"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/launch"
	"patchbay.dev/patchbay/internal/apiserver/containers/runtimehelper"
	"patchbay.dev/patchbay/resource"
)

// Stop sends a container's stop signal, after the timeout SIGKILL, and returns
// when nothing of its run is in the way of others. A nil timeout is the container's. A start in
// progress is undone. A container that does not run is no error.
func (s *Service) Stop(ctx context.Context, name string, timeout *time.Duration) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	limit := e.Config().StopTimeout
	if timeout != nil {
		limit = *timeout
	}
	if limit < 0 {
		return e.Errorf(errdefs.ErrInvalidArgument, "stop timeout %v: want 0 or more", limit)
	}
	return s.stop(ctx, e, limit)
}

func (s *Service) stop(ctx context.Context, e *entry, timeout time.Duration) error {
	s.mu.Lock()
	r := e.run
	if r == nil {
		s.mu.Unlock()
		return nil
	}
	r.stops++
	starting := r.state == resource.ContainerStarting
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		r.stops--
		s.mu.Unlock()
	}()
	r.cause.Note(ctx)
	if starting {
		r.abort()
	} else if r.Process != nil {
		signal, err := blueprint.ParseSignal(e.Config().StopSignal)
		if err != nil {
			signal = syscall.SIGTERM // an older form
		}
		r.End(ctx, runtimehelper.Ending{Signal: signal, Timeout: timeout, Grace: s.config.GraceTimeout, Ended: r.ended})
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill sends a signal, by name or number, to the main process of a running
// container; an empty one is SIGKILL.
func (s *Service) Kill(ctx context.Context, name, signal string) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	number := syscall.SIGKILL
	if signal != "" {
		if number, err = blueprint.ParseSignal(signal); err != nil {
			return e.Errorf(errdefs.ErrInvalidArgument, "%w", err)
		}
	}
	r, err := s.needRun(e)
	if err != nil {
		return err
	}
	r.cause.Note(ctx)
	asking, cancel := context.WithTimeout(ctx, s.config.GraceTimeout)
	defer cancel()
	_, err = r.Client.Signal(asking, &sandboxv1.SignalRequest{Signal: int32(number)})
	if err != nil && number == syscall.SIGKILL && ctx.Err() == nil && (fault.IsConnection(err) || asking.Err() != nil) {
		r.Process.Kill() // it cannot do it any more
		return nil
	}
	return s.explain(e, r, err)
}

// Restart stops a container that runs, and starts it. One that is to be removed
// when it ends is not then. It returns what Start does.
func (s *Service) Restart(ctx context.Context, name string, timeout *time.Duration) (resource.StartedContainer, error) {
	e, err := s.find(name)
	if err != nil {
		return resource.StartedContainer{}, err
	}
	s.mu.Lock()
	if e.run != nil {
		e.run.keep = true
	}
	s.mu.Unlock()
	if err := s.Stop(ctx, e.ID(), timeout); err != nil {
		return resource.StartedContainer{}, err
	}
	return s.start(ctx, e, launch.Start{})
}

// stopsAtOnce bounds the containers that StopAll stops at a time.
const stopsAtOnce = 64

// StopAll stops all containers, for the end of the whole instance: no start is
// accepted any more. A zero timeout is each container's own. Nothing is left of them when it
// returns, but what stays of a container that does not run.
func (s *Service) StopAll(ctx context.Context, timeout time.Duration) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	entries := s.all()
	faults := make([]error, len(entries))
	var group errgroup.Group
	group.SetLimit(stopsAtOnce)
	for i, e := range entries {
		limit := timeout
		if limit == 0 {
			limit = e.Config().StopTimeout
		}
		group.Go(func() error {
			if err := s.stop(ctx, e, limit); err != nil {
				faults[i] = e.Errorf(errdefs.ErrUnavailable, "cannot be stopped: %w", err)
			}
			return nil
		})
	}
	faults = append(faults, group.Wait())
	s.left.Wait(ctx)
	return errors.Join(faults...)
}
