package vm

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/sandbox/names"
)

var _ names.Insider = (*Engine)(nil)

// ListenNames implements names.Insider: the agent passes on what comes to the
// sockets in the guest.
func (e *Engine) ListenNames(ctx context.Context) (resolver.Sockets, error) {
	if _, err := e.guest.ListenNames(ctx, &guestv1.ListenNamesRequest{}); err != nil {
		return resolver.Sockets{}, e.explain(err)
	}
	datagrams, err := e.streams.Take(ctx, "", guestv1.StreamKind_STREAM_KIND_NAMES_DATAGRAMS)
	if err != nil {
		return resolver.Sockets{}, err
	}
	return resolver.Sockets{
		Packet: channel.NewPacketConn(datagrams, resolver.Address),
		Stream: e.streams.Names(),
	}, nil
}

// DialContext implements names.Insider.
func (e *Engine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	id := rand.Text()
	if _, err := e.guest.Dial(ctx, &guestv1.DialRequest{Id: id, Network: network, Address: address}); err != nil {
		return nil, e.explain(err)
	}
	stream, err := e.streams.Take(ctx, id, guestv1.StreamKind_STREAM_KIND_DIALED)
	if err != nil {
		return nil, err
	}
	if network == "udp" {
		return channel.NewPacketConn(stream, netip.AddrPort{}), nil
	}
	return stream, nil
}
