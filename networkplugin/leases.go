package networkplugin

import (
	"context"
	"fmt"

	"patchbay.dev/patchbay/internal/lease"
)

// leased is a network as the lease table calls it.
type leased struct{ network Network }

var _ lease.Network = leased{}

func (l leased) Plan(p lease.Port, options map[string]string) (any, error) {
	return l.network.Plan(Port(p), options)
}

func (l leased) Admit(ctx context.Context, p lease.Port) error {
	return l.network.Admit(ctx, Port(p))
}

func (l leased) Expel(ctx context.Context, p lease.Port) error {
	if publisher, ok := l.network.(Publisher); ok {
		if err := publisher.Unpublish(ctx, Port(p)); err != nil {
			return fmt.Errorf("unpublish: %w", err)
		}
	}
	return l.network.Expel(ctx, Port(p))
}

func ports(in []lease.Port) []Port {
	out := make([]Port, len(in))
	for i, p := range in {
		out[i] = Port(p)
	}
	return out
}
