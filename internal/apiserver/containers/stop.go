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
	"patchbay.dev/patchbay/resource"
)

// Stop sends a container's stop signal, after the timeout SIGKILL, and returns
// when nothing is left of its run. A nil timeout is the container's. A start in
// progress is undone. A container that does not run is no error.
func (s *Service) Stop(ctx context.Context, name string, timeout *time.Duration) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	limit := e.config().StopTimeout
	if timeout != nil {
		limit = *timeout
	}
	if limit < 0 {
		return e.errorf(errdefs.ErrInvalidArgument, "stop timeout %v: want 0 or more", limit)
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
	if starting {
		r.abort()
	} else if r.process != nil {
		s.endRunning(ctx, e, r, timeout)
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endRunning asks ever less kindly: signal, SIGKILL to all, Shutdown, and at last it
// kills the helper, which takes the container along.
func (s *Service) endRunning(ctx context.Context, e *entry, r *run, timeout time.Duration) {
	done := r.process.Done()
	signal, err := blueprint.ParseSignal(e.config().StopSignal)
	if err != nil {
		signal = syscall.SIGTERM // an older form
	}
	steps := []struct {
		ask   func(context.Context) error
		limit time.Duration
	}{
		{func(ctx context.Context) error { return s.signal(ctx, r, signal, false) }, timeout},
		{func(ctx context.Context) error { return s.signal(ctx, r, syscall.SIGKILL, true) }, s.config.GraceTimeout},
		{func(ctx context.Context) error {
			_, err := r.client.Shutdown(ctx, &sandboxv1.ShutdownRequest{})
			return err
		}, s.config.GraceTimeout},
	}
	if timeout == 0 {
		steps = steps[1:]
	}
	for _, step := range steps {
		asking, cancel := context.WithTimeout(ctx, s.config.GraceTimeout)
		err := step.ask(asking)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break // it hangs
		}
		if within(ctx, step.limit, done) {
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
	if ctx.Err() == nil {
		r.process.Kill()
	}
}

// signal sends a signal to the main process or to all of a sandbox. That it has
// ended already is no error.
func (s *Service) signal(ctx context.Context, r *run, number syscall.Signal, all bool) error {
	_, err := r.client.Signal(ctx, &sandboxv1.SignalRequest{Signal: int32(number), All: all})
	if errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, errdefs.ErrFailedPrecondition) {
		return nil
	}
	return err
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
			return e.errorf(errdefs.ErrInvalidArgument, "%w", err)
		}
	}
	r, err := s.needRun(e)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, s.config.GraceTimeout)
	defer cancel()
	_, err = r.client.Signal(asking, &sandboxv1.SignalRequest{Signal: int32(number)})
	if err != nil && number == syscall.SIGKILL && ctx.Err() == nil && (fault.IsConnection(err) || asking.Err() != nil) {
		r.process.Kill() // it cannot do it any more
		return nil
	}
	return s.explain(e, r, err)
}

// Restart stops a container that runs, and starts it. One that is to be removed
// when it ends is not then.
func (s *Service) Restart(ctx context.Context, name string, timeout *time.Duration) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if e.run != nil {
		e.run.keep = true
	}
	s.mu.Unlock()
	if err := s.Stop(ctx, e.id(), timeout); err != nil {
		return err
	}
	_, err = s.start(ctx, e, false)
	return err
}

// stopsAtOnce bounds the containers that StopAll stops at a time.
const stopsAtOnce = 64

// StopAll stops all containers, for the end of the whole instance: no start is
// accepted any more. A zero timeout is each container's own. Those to be removed
// when they end are gone when it returns.
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
			limit = e.config().StopTimeout
		}
		group.Go(func() error {
			ran := s.isRunning(e)
			if err := s.stop(ctx, e, limit); err != nil {
				faults[i] = e.errorf(errdefs.ErrUnavailable, "cannot be stopped: %w", err)
			} else if ran && e.config().AutoRemove {
				within(ctx, s.config.GraceTimeout, e.gone)
			}
			return nil
		})
	}
	return errors.Join(append(faults, group.Wait())...)
}
