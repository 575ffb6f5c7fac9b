package guest

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/runtime/vm/guest/devices"
	"patchbay.dev/patchbay/internal/runtime/vm/plan"
	"patchbay.dev/patchbay/internal/sandbox/explain"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
)

// Plug makes a network device an interface.
func (s *service) Plug(ctx context.Context, r *guestv1.PlugRequest) (*guestv1.PlugResponse, error) {
	i, err := plan.FromProto(r.GetInterface())
	if err != nil {
		return nil, err
	}
	h, err := link.Open(nil)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := adopt(ctx, h, i); err != nil {
		return nil, err
	}
	return &guestv1.PlugResponse{}, inside.Configure(h, inside.Elsewhere, i)
}

// Rewire changes the interfaces and their routes.
func (s *service) Rewire(ctx context.Context, r *guestv1.RewireRequest) (*guestv1.RewireResponse, error) {
	from, err := plan.AllFromProto(r.GetFrom())
	to, fault := plan.AllFromProto(r.GetTo())
	if err := errors.Join(err, fault); err != nil {
		return nil, err
	}
	return &guestv1.RewireResponse{}, rewire(ctx, from, to)
}

func rewire(ctx context.Context, from, to []wiring.Interface) error {
	h, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer h.Close()
	var added []wiring.Interface
	for _, i := range inside.Without(to, from) {
		// The kernel may have given a device that is new the name that it is to have.
		if there, err := h.Interface(i.Name); err == nil && there.Up {
			continue // one that was to go and is still there
		}
		if err := adopt(ctx, h, i); err != nil {
			return err
		}
		added = append(added, i)
	}
	if err := inside.Rewire(h, inside.Elsewhere, from, to, added...); err != nil {
		return errors.Join(err, inside.Rewire(h, inside.Elsewhere, to, from))
	}
	return nil
}

// Rewrite replaces files.
func (s *service) Rewrite(_ context.Context, r *guestv1.RewriteRequest) (*guestv1.RewriteResponse, error) {
	for _, c := range r.GetChanges() {
		path, ok := s.files[c.GetPath()]
		if !ok {
			return nil, fmt.Errorf("file %s: not one of the host's: %w", c.GetPath(), errdefs.ErrNotFound)
		}
		if err := inside.Replace(path, c.GetBefore(), c.GetAfter()); err != nil {
			return nil, fmt.Errorf("write %s: %w", c.GetPath(), err)
		}
	}
	return &guestv1.RewriteResponse{}, nil
}

func loopbackUp() error {
	h, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.LoopbackUp()
}

// spareName is the pattern of names that the kernel gives to devices which have nobody's
// name (dev_alloc_name in net/core/dev.c).
const spareName = "new%d"

// adopt gives the network device with a planned MAC address its name. Of several that the
// machine began with another one may have that name from the kernel: it is down, and makes
// room until it is adopted itself.
func adopt(ctx context.Context, h *link.Handle, i wiring.Interface) error {
	device, err := devices.Network(ctx, string(i.MAC))
	if err != nil {
		return err
	}
	taken := h.Rename(device, i.Name, i.MTU)
	if !errdefs.IsAlreadyExists(taken) {
		return taken
	}
	holder, err := h.Interface(i.Name)
	if err != nil || holder.Up {
		return taken
	}
	if err := h.Rename(holder.Index, spareName, 0); err != nil {
		return err
	}
	return h.Rename(device, i.Name, i.MTU)
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
