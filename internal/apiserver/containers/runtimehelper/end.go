package runtimehelper

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
)

// Ending is how a container is asked to end.
type Ending struct {
	Signal  syscall.Signal  // to the main process
	Timeout time.Duration   // how long it has for that; 0: it gets no signal but SIGKILL
	Grace   time.Duration   // how long each further step has
	Ended   <-chan struct{} // closed when the run has ended
}

// End asks a helper that runs ever less kindly for the end of its container: the
// signal and, after the timeout, SIGKILL to all, Shutdown, and at last it kills
// the helper, which takes the container along. It returns when the run has ended.
func (h Helper) End(ctx context.Context, e Ending) {
	steps := []struct {
		ask   func(context.Context) error
		limit time.Duration
	}{
		{func(ctx context.Context) error { return h.signal(ctx, e.Signal, false) }, e.Timeout},
		{func(ctx context.Context) error { return h.signal(ctx, syscall.SIGKILL, true) }, e.Grace},
		{func(ctx context.Context) error {
			_, err := h.Client.Shutdown(ctx, &sandboxv1.ShutdownRequest{})
			return err
		}, e.Grace},
	}
	if e.Timeout == 0 {
		steps = steps[1:]
	}
	for _, step := range steps {
		asking, cancel := context.WithTimeout(ctx, e.Grace)
		err := step.ask(asking)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break // it hangs
		}
		if Within(ctx, step.limit, e.Ended) {
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
	if ctx.Err() == nil {
		h.Process.Kill()
	}
}

// signal sends a signal to the main process or to all of a sandbox. That it has
// ended already is no error.
func (h Helper) signal(ctx context.Context, number syscall.Signal, all bool) error {
	_, err := h.Client.Signal(ctx, &sandboxv1.SignalRequest{Signal: int32(number), All: all})
	if errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, errdefs.ErrFailedPrecondition) {
		return nil
	}
	return err
}

// Within waits for an event, until ctx ends or for a time at most.
func Within(ctx context.Context, limit time.Duration, event <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-event:
		return true
	case <-ctx.Done():
		return false
	}
}
