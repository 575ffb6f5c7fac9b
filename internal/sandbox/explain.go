package sandbox

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/explain"
	"patchbay.dev/patchbay/internal/sandbox/lookup"
	"patchbay.dev/patchbay/resource"
)

// Explain says which way packets take from the sandbox to an address or name,
// and why; for an empty target to each network and the internet. An engine
// that is no explain.Kernel cannot: errdefs.ErrNotImplemented.
func (s *Sandbox) Explain(ctx context.Context, target string) ([]resource.Explanation, error) {
	if err := s.live("has no network"); err != nil {
		return nil, err
	}
	kernel, ok := s.engine().(explain.Kernel)
	if !ok {
		return nil, fmt.Errorf("sandbox %s: its runtime cannot be asked for routes: %w", s.id(), errdefs.ErrNotImplemented)
	}
	return explain.Explainer{Attachments: s.made().allocated, Kernel: kernel, Plugins: lookup.Plugins{}}.Explain(ctx, target)
}
