package guest

import (
	"context"
	"fmt"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/runtime/vm/plan"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/explain"
)

// Plug makes a network device an interface.
func (s *service) Plug(ctx context.Context, r *guestv1.PlugRequest) (*guestv1.PlugResponse, error) {
	i, err := plan.FromProto(r.GetInterface())
	if err != nil {
		return nil, err
	}
	return &guestv1.PlugResponse{}, plug(ctx, i)
}

func loopbackUp() error {
	h, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.LoopbackUp()
}

// plug makes the network device with a planned MAC address an interface of the
// container.
func plug(ctx context.Context, i sandbox.Interface) error {
	device, err := awaitDevice(ctx, func() (string, error) { return byAttribute("/sys/class/net/*/address", string(i.MAC)) })
	if err != nil {
		return fmt.Errorf("network device %s: %w", i.MAC, err)
	}
	h, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Rename(device, i.Name, i.MTU); err != nil {
		return err
	}
	return inside.Configure(h, i)
}

// Route asks the kernel.
func (s *service) Route(_ context.Context, r *guestv1.RouteRequest) (*guestv1.RouteResponse, error) {
	q, err := plan.QuestionFromProto(r)
	if err != nil {
		return nil, err
	}
	h, err := link.Open(nil)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	route, err := h.RouteTo(q.Destination, q.Source)
	if err != nil {
		return nil, err
	}
	return plan.RouteToProto(explain.Route(route)), nil
}
