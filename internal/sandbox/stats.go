package sandbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Meter is an Engine that counts what its sandbox uses.
type Meter interface {
	// Sample says what has been used so far. The attachments have the names of
	// their interfaces only; there may be more than those of the sandbox, and they
	// are in no order.
	Sample(ctx context.Context) (resource.Sample, error)
}

// Stats says what the sandbox has used, and what has gone over each of its
// attachments. An engine that is no Meter cannot: errdefs.ErrNotImplemented.
func (s *Sandbox) Stats(ctx context.Context) (resource.Sample, error) {
	if err := s.live("uses nothing"); err != nil {
		return resource.Sample{}, err
	}
	meter, ok := s.engine().(Meter)
	if !ok {
		return resource.Sample{}, fmt.Errorf("sandbox %s: its runtime does not count what it uses: %w", s.id(), errdefs.ErrNotImplemented)
	}
	sample, err := meter.Sample(ctx)
	if err != nil {
		return resource.Sample{}, fmt.Errorf("sandbox %s: %w", s.id(), err)
	}
	sample.Time = time.Now().UTC()
	sample.Attachments = traffic(s.made().Attachments, sample.Attachments)
	return sample, nil
}

// traffic is what was counted of each attachment, in their order.
func traffic(attachments []resource.Attachment, counted []resource.AttachmentTraffic) []resource.AttachmentTraffic {
	var out []resource.AttachmentTraffic
	for _, a := range attachments {
		t := resource.AttachmentTraffic{NetworkID: a.NetworkID, Network: a.Network, InterfaceName: a.InterfaceName}
		named := func(c resource.AttachmentTraffic) bool { return c.InterfaceName == a.InterfaceName }
		if i := slices.IndexFunc(counted, named); i >= 0 {
			t.Received, t.Sent = counted[i].Received, counted[i].Sent
		}
		out = append(out, t)
	}
	return out
}
