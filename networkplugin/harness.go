package networkplugin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/api/message"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// Protocol is the version of the wire protocol that this package speaks.
const Protocol = 1

// harness is the RPC coat of a service: it decodes, calls and encodes.
type harness struct{ service *service }

var _ pluginv1connect.NetworkPluginServiceHandler = (*harness)(nil)

// Hello implements the contract.
func (h *harness) Hello(context.Context, *pluginv1.HelloRequest) (*pluginv1.HelloResponse, error) {
	p := h.service.Plugin
	return &pluginv1.HelloResponse{
		MinProtocol:  Protocol,
		MaxProtocol:  Protocol,
		Name:         p.Name,
		Version:      p.version(),
		Capabilities: capabilities(h.service.implementation()),
	}, nil
}

// Start implements the contract.
func (h *harness) Start(ctx context.Context, r *pluginv1.StartRequest) (*pluginv1.StartResponse, error) {
	c, err := pluginwire.ConfigurationFromProto(r.GetConfiguration())
	if err != nil {
		return nil, err
	}
	reserved, err := reservations(r.GetReservations())
	if err != nil {
		return nil, err
	}
	remembered, err := reservations(r.GetRemembered())
	if err != nil {
		return nil, err
	}
	if err := h.service.start(ctx, configuration(c)); err != nil {
		return nil, err
	}
	h.service.fit(reserved)
	h.service.table.Remember(remembered)
	status, err := h.status()
	return &pluginv1.StartResponse{Status: status}, err
}

// Status implements the contract.
func (h *harness) Status(context.Context, *pluginv1.StatusRequest) (*pluginv1.StatusResponse, error) {
	return h.statusAt(h.service.answering())
}

// statusAt tells what is true since a moment.
func (h *harness) statusAt(now moment) (*pluginv1.StatusResponse, error) {
	status, err := h.service.status()
	if err != nil {
		return nil, err
	}
	return &pluginv1.StatusResponse{Status: pluginwire.StatusToProto(status), Revision: now.revision}, nil
}

// changing makes a call about a lease, and returns what its answer tells of the status after it.
func (h *harness) changing(call func() error) (*pluginv1.StatusResponse, error) {
	h.service.begin()
	err := call()
	now := h.service.end(err == nil)
	if err != nil {
		return nil, err
	}
	return h.statusAt(now)
}

func (h *harness) status() (*pluginv1.NetworkStatus, error) {
	status, err := h.service.status()
	if err != nil {
		return nil, err
	}
	return pluginwire.StatusToProto(status), nil
}

// Check implements the contract.
func (h *harness) Check(ctx context.Context, _ *pluginv1.CheckRequest) (*pluginv1.CheckResponse, error) {
	network, err := h.service.serving()
	if err != nil {
		return nil, err
	}
	checker, ok := network.(Checker)
	if !ok {
		return nil, notImplemented(h.service.Plugin.Name, "check")
	}
	return &pluginv1.CheckResponse{Faults: append(checker.Check(ctx), h.service.table.Troubles()...)}, nil
}

// Stop implements the contract.
func (h *harness) Stop(ctx context.Context, r *pluginv1.StopRequest) (*pluginv1.StopResponse, error) {
	return &pluginv1.StopResponse{}, h.service.stop(ctx, r.GetDelete(), r.GetForce())
}

// Update implements the contract.
func (h *harness) Update(ctx context.Context, r *pluginv1.UpdateRequest) (*pluginv1.UpdateResponse, error) {
	c, err := pluginwire.ConfigurationFromProto(r.GetConfiguration())
	if err != nil {
		return nil, err
	}
	if err := h.service.update(ctx, configuration(c)); err != nil {
		return nil, err
	}
	status, err := h.status()
	return &pluginv1.UpdateResponse{Status: status}, err
}

// Allocate implements the contract.
func (h *harness) Allocate(ctx context.Context, r *pluginv1.AllocateRequest) (*pluginv1.AllocateResponse, error) {
	wish, err := wire.AttachmentConfigurationFromProto(r.GetConfiguration())
	if err != nil {
		return nil, err
	}
	var view lease.Lease
	after, err := h.changing(func() (err error) {
		view, err = h.service.table.Allocate(ctx, r.GetKey(), r.GetOwner(), wish)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pluginv1.AllocateResponse{
		Attachment:     wire.AttachmentToProto(view.Attachment),
		AdditionalData: view.AdditionalData,
		ExpiresAt:      expiry(view.ExpiresAt),
		After:          after,
	}, nil
}

// Hold implements the contract: its leases are held for as long as its stream
// is open. There is no second half to forget: a sandbox that exits, crashes or
// is killed closes the stream, and the kernel tells. Nothing waits meanwhile. The headers of
// the answer go with the message, so that the sandbox is woken once.
func (h *harness) Hold(ctx context.Context, r *pluginv1.HoldRequest, stream pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	peer, _ := rpc.PeerFrom(ctx)
	table := h.service.table
	held, err := table.Hold(ctx, r.GetKeys(), r.GetNetworkNamespace(), peer.PID)
	if err != nil {
		return err
	}
	if err := stream.Send(&pluginv1.HoldResponse{}); err != nil {
		table.LetGo(held)
		return err // the sandbox has gone already
	}
	trace.Current(ctx).End(nil) // from here on it is a hold, not work
	rest := rpc.Leave(ctx, func() { table.LetGo(held) })
	held.OnOver(rest.End)
	return rest.Wait()
}

// Release implements the contract.
func (h *harness) Release(ctx context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	after, err := h.changing(func() error { return h.service.table.Release(ctx, r.GetKey(), r.GetForget()) })
	return &pluginv1.ReleaseResponse{After: after}, err
}

// Reserve implements the contract.
func (h *harness) Reserve(_ context.Context, r *pluginv1.ReserveRequest) (*pluginv1.ReserveResponse, error) {
	reservations, err := reservations([]*pluginv1.Reservation{r.GetReservation()})
	if err != nil {
		return nil, err
	}
	after, err := h.changing(func() error { return h.service.table.Reserve(reservations[0]) })
	return &pluginv1.ReserveResponse{After: after}, err
}

// Lookup implements the contract.
func (h *harness) Lookup(_ context.Context, r *pluginv1.LookupRequest) (*pluginv1.LookupResponse, error) {
	if name := r.GetName(); name != "" {
		return found(h.service.table.ByName(name)), nil
	}
	address, err := netip.ParseAddr(r.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("lookup of %q: want a name or an ip address: %w", r.GetAddress(), errdefs.ErrInvalidArgument)
	}
	return found(h.service.table.ByAddress(address)), nil
}

func found(leases []lease.Lease) *pluginv1.LookupResponse {
	all := make([]pluginwire.Found, len(leases))
	for i, l := range leases {
		all[i] = pluginwire.Found{Attachment: l.Attachment, Owner: l.Owner}
	}
	return pluginwire.FoundToProto(all)
}

// List implements the contract.
func (h *harness) List(context.Context, *pluginv1.ListRequest) (*pluginv1.ListResponse, error) {
	one := &pluginv1.Lease{Attachment: new(typesv1.Attachment)}
	alone := &pluginv1.ListResponse{Leases: []*pluginv1.Lease{one}}
	out := new(pluginv1.ListResponse)
	out.SetSequence(message.Sequence(h.leases, func(v lease.Lease) message.Message {
		one.Key, one.Owner, one.State, one.ExpiresAt = v.Key, v.Owner, pluginwire.LeaseStateToProto(v.State), expiry(v.ExpiresAt)
		wire.AttachmentInto(one.Attachment, v.Attachment)
		return alone
	}))
	return out, nil
}

func (h *harness) leases(yield func(lease.Lease, error) bool) {
	for l := range h.service.table.All() {
		if !yield(l, nil) {
			return
		}
	}
}

// Watch implements the contract.
func (h *harness) Watch(ctx context.Context, _ *pluginv1.WatchRequest, stream pluginv1connect.NetworkPluginServiceWatchServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	var f follower
	rest := rpc.Leave(ctx, func() { h.service.unfollow(&f) })
	f.send = func(status resource.NetworkStatus, revision uint64) error {
		return rpc.Send(rest, &pluginv1.WatchResponse{Status: pluginwire.StatusToProto(status), Revision: revision, All: true}, stream)
	}
	f.end = rest.End
	h.service.follow(&f)
	return rest.Wait()
}

func expiry(t time.Time) *message.Timestamp {
	if t.IsZero() {
		return nil
	}
	return message.NewTimestamp(t)
}

func configuration(c pluginwire.Configuration) Configuration {
	out := Configuration{
		ID:             c.ID,
		Name:           c.Name,
		Variant:        c.Variant,
		IPv4Subnet:     c.IPv4Subnet,
		IPv6Subnet:     c.IPv6Subnet,
		MTU:            c.MTU,
		Options:        c.Options,
		ReservedRanges: c.ReservedRanges,
		IPv4Disabled:   c.IPv4Disabled,
		IPv6Disabled:   c.IPv6Disabled,
		IPv4Pools:      c.IPv4Pools,
		IPv6Pools:      c.IPv6Pools,
	}
	out.Used = make([]UsedPrefix, 0, len(c.Used))
	for _, u := range c.Used {
		out.Used = append(out.Used, UsedPrefix(u))
	}
	return out
}

func reservations(in []*pluginv1.Reservation) ([]lease.Reservation, error) {
	var out []lease.Reservation
	var faults []error
	for _, r := range in {
		decoded, err := pluginwire.ReservationFromProto(r)
		if err != nil {
			faults = append(faults, fmt.Errorf("reservation of %s: %w", r.GetOwner(), err))
		}
		c := decoded.Configuration
		out = append(out, lease.Reservation{
			Key: decoded.Key, Owner: decoded.Owner,
			Addresses: pool.Addresses{IPv4: c.IPv4Address, IPv6: c.IPv6Address, MAC: c.MACAddress},
		})
	}
	return out, errors.Join(faults...)
}
