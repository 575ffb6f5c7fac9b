package runtimehelper

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
)

// Explain says why a call of a container's helper failed. An answer is left as it is:
// its text begins with what the caller is to see. Without one the helper has
// died, which shows within the grace, and its own words count.
func (h Helper) Explain(container string, grace time.Duration, err error) error {
	unavailable := func(format string, args ...any) error {
		return fault.New(errdefs.ErrUnavailable, "container %s: its runtime helper "+format, append([]any{container}, args...)...)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return unavailable("did not answer in time")
	}
	if !fault.IsConnection(err) {
		return err
	}
	if h.Process != nil && Within(context.Background(), grace, h.Process.Done()) {
		return unavailable("died: %s", h.Process.Death())
	}
	return unavailable("does not answer: %w", err)
}

// AwaitEnd returns true when the helper of a sandbox is gone, false when ctx has ended
// before. One that stays after its main process has ended is killed.
func (p *Programs) AwaitEnd(ctx context.Context, id string, h Helper) bool {
	for {
		_, err := h.Client.Wait(ctx, &sandboxv1.WaitRequest{})
		if Within(ctx, p.GraceTimeout, h.Process.Done()) {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if err == nil || disk.ReadExit(p.Roots.Sandbox(id)) != nil {
			p.Log.Warn("a runtime helper stays after its container has ended, and is killed", "container", id)
			h.Process.Kill()
			return true
		}
		// No answer, yet alive: ask again.
	}
}
