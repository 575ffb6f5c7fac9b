package vm

import (
	"context"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

var _ sandbox.Meter = (*Engine)(nil)

// Sample asks the guest: what the machine itself costs the host is not in it.
func (e *Engine) Sample(ctx context.Context) (resource.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := e.guest.Stats(ctx, &guestv1.StatsRequest{})
	if err != nil {
		return resource.Sample{}, e.explain(err)
	}
	return wire.SampleFromProto(answer.GetSample()), nil
}
