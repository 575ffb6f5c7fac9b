package guest

import (
	"context"
	"io"
	"net"
	"net/netip"

	"golang.org/x/net/netutil"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
)

// maxNameConnections bounds the connections to the resolver that are passed on to
// the host at the same time.
const maxNameConnections = 32

// datagramSize is room for the longest datagram.
const datagramSize = 65536

// ListenNames passes on to the host what comes to the resolver's sockets.
func (s *service) ListenNames(context.Context, *guestv1.ListenNamesRequest) (*guestv1.ListenNamesResponse, error) {
	sockets, err := resolver.Listen()
	if err != nil {
		return nil, err
	}
	stream, err := openStream(s.session, "", guestv1.StreamKind_STREAM_KIND_NAMES_DATAGRAMS)
	if err != nil {
		_ = sockets.Packet.Close()
		_ = sockets.Stream.Close()
		return nil, err
	}
	go relayDatagrams(channel.NewPacketConn(stream, netip.AddrPort{}), sockets.Packet.(*net.UDPConn))
	go s.relayConnections(netutil.LimitListener(sockets.Stream, maxNameConnections))
	return &guestv1.ListenNamesResponse{}, nil
}

// relayConnections joins each connection with a stream of its own.
func (s *service) relayConnections(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			stream, err := openStream(s.session, "", guestv1.StreamKind_STREAM_KIND_NAMES_CONNECTION)
			if err != nil { // the host is gone, and with it the machine
				_ = c.Close()
				return
			}
			join(stream, c)
		}()
	}
}

// Dial opens a connection and joins it with a stream.
func (s *service) Dial(ctx context.Context, r *guestv1.DialRequest) (*guestv1.DialResponse, error) {
	c, err := new(net.Dialer).DialContext(ctx, r.GetNetwork(), r.GetAddress())
	if err != nil {
		return nil, err
	}
	stream, err := openStream(s.session, r.GetId(), guestv1.StreamKind_STREAM_KIND_DIALED)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	if udp, ok := c.(*net.UDPConn); ok {
		go relayDatagrams(channel.NewPacketConn(stream, netip.AddrPort{}), udp)
	} else {
		go join(stream, c)
	}
	return &guestv1.DialResponse{}, nil
}

// join passes bytes on in both ways, each to its end. The end of a stream's write
// side is its Close.
func join(stream, connection net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(connection, stream)
		if half, ok := connection.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		} else {
			_ = connection.Close()
		}
	}()
	_, _ = io.Copy(stream, connection)
	_ = stream.Close()
	<-done
	_ = connection.Close()
}

// relayDatagrams passes datagrams on in both ways until either end is closed.
func relayDatagrams(host *channel.PacketConn, socket *net.UDPConn) {
	go func() {
		defer func() { _ = socket.Close() }() // it may be closed already
		buffer := make([]byte, datagramSize)
		for {
			n, to, err := host.ReadFromAddrPort(buffer)
			if err != nil {
				return
			}
			// One that cannot be sent is lost, as datagrams are.
			if to.IsValid() {
				_, _ = socket.WriteToUDPAddrPort(buffer[:n], to)
			} else {
				_, _ = socket.Write(buffer[:n])
			}
		}
	}()
	defer host.Close()
	connected := socket.RemoteAddr() != nil
	buffer := make([]byte, datagramSize)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if connected {
			from = netip.AddrPort{}
		}
		if _, err := host.WriteToAddrPort(buffer[:n], from); err != nil {
			return
		}
	}
}
