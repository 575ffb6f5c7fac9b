package reach

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// atOnce bounds the helpers that are asked at a time.
const atOnce = 32

// samples asks for containers, several at once, each within a time. The answers are in
// their order: a fault where a helper does not give one, nil for a container that
// has ended.
func samples(ctx context.Context, containers []Running, within time.Duration) []*resource.ContainerStats {
	out := make([]*resource.ContainerStats, len(containers))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, c := range containers {
		group.Go(func() error {
			s := resource.ContainerStats{ID: c.ID, Name: c.Name}
			var err error
			switch s.Sample, err = c.sample(ctx, within); {
			case err != nil && c.ended(ctx, err, within):
				return nil
			case err != nil:
				s.Fault = text(err)
			}
			out[i] = &s
			return nil
		})
	}
	_ = group.Wait() // nothing of it fails
	return out
}

// sample asks a helper within a time.
func (r Running) sample(ctx context.Context, within time.Duration) (resource.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answer, err := r.Helper.Client.Stats(ctx, &sandboxv1.StatsRequest{})
	if err != nil {
		return resource.Sample{}, err
	}
	return wire.SampleFromProto(answer.GetSample()), nil
}

// ended reports whether an error comes of the container's end. The death of a helper
// shows in its connection first.
func (r Running) ended(ctx context.Context, err error, within time.Duration) bool {
	if !fault.IsConnection(err) {
		return errdefs.IsFailedPrecondition(err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case <-r.Helper.Process.Done():
		return true
	case <-ctx.Done():
		return false
	}
}

// text is what users read of an error.
func text(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), fault.IsConnection(err):
		return resource.HelperSilent
	case errdefs.IsNotImplemented(err):
		return "its runtime helper does not count what it uses"
	}
	return wire.Text(err)
}
