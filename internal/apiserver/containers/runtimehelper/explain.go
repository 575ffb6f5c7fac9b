package runtimehelper

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

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
