package containers

import (
	"context"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Explain says which way packets of a running container take to an address or
// name, and why; for an empty target to each network and the internet.
func (s *Service) Explain(ctx context.Context, name, target string) ([]resource.Explanation, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	r, err := s.needRun(e)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.StartTimeout)
	defer cancel()
	answer, err := r.client.Explain(ctx, &sandboxv1.ExplainRequest{Target: target})
	if err != nil {
		return nil, s.explain(e, r, err)
	}
	return wire.ExplanationsFromProto(answer.GetExplanations())
}
