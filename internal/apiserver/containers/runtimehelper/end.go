package runtimehelper

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
)

// End asks a helper that runs ever less kindly for the end of its container:
// signal and, after the timeout, SIGKILL to all, Shutdown, and at last it kills
// the helper, which takes the container along. Each step but the first has the
// grace to work.
func (h Helper) End(ctx context.Context, signal syscall.Signal, timeout, grace time.Duration) {
	steps := []struct {
		ask   func(context.Context) error
		limit time.Duration
	}{
		{func(ctx context.Context) error { return h.signal(ctx, signal, false) }, timeout},
		{func(ctx context.Context) error { return h.signal(ctx, syscall.SIGKILL, true) }, grace},
		{func(ctx context.Context) error {
			_, err := h.Client.Shutdown(ctx, &sandboxv1.ShutdownRequest{})
			return err
		}, grace},
	}
	if timeout == 0 {
		steps = steps[1:]
	}
	for _, step := range steps {
		asking, cancel := context.WithTimeout(ctx, grace)
		err := step.ask(asking)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break // it hangs
		}
		if Within(ctx, step.limit, h.Process.Done()) {
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
