//go:build integration

package integration

import (
	byteorder "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// capture takes a copy of every packet of a network namespace from its making on.
type capture struct {
	t     *testing.T
	fd    int
	names map[int]string // of interfaces, by index
}

// namespaceOf opens the network namespace of a running container.
func (h *host) namespaceOf(container string) *netns.Namespace {
	h.t.Helper()
	ns, err := netns.OpenPath(fmt.Sprintf("/proc/%d/ns/net", h.container(container).Status.PID))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ns.Close() })
	return ns
}

// captureOf opens a capture in the network namespace of a running container.
func (h *host) captureOf(container string) *capture {
	h.t.Helper()
	c := &capture{t: h.t, names: map[int]string{}}
	all := byteorder.NativeEndian.Uint16(byteorder.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	err := h.namespaceOf(container).Do(func() error {
		interfaces, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range interfaces {
			c.names[i.Index] = i.Name
		}
		// Without link-layer headers, so that it is alike for every device.
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
		return err
	})
	if err != nil {
		h.t.Fatalf("capture: %v", err)
	}
	h.t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

// sentPacket is a packet that left the namespace.
type sentPacket struct {
	from netip.Addr
	by   string // interface
}

// echoReplies returns the answers to pings that have left so far and were not
// returned before. A packet is copied before it leaves, so what has arrived
// elsewhere is among them.
func (c *capture) echoReplies() []sentPacket {
	c.t.Helper()
	var out []sentPacket
	buffer := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(c.fd, buffer, 0)
		if errors.Is(err, unix.EAGAIN) {
			return out
		}
		if err != nil {
			c.t.Fatalf("capture: %v", err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if ok && link.Pkttype == unix.PACKET_OUTGOING {
			if source, ok := echoReply(buffer[:n]); ok {
				out = append(out, sentPacket{source, c.names[link.Ifindex]})
			}
		}
	}
}

// echoReply returns the sender of an ICMP or ICMPv6 echo reply.
func echoReply(packet []byte) (netip.Addr, bool) {
	switch {
	case len(packet) > 20 && packet[0] == 0x45 && packet[9] == unix.IPPROTO_ICMP && packet[20] == 0:
		return netip.AddrFromSlice(packet[12:16])
	case len(packet) > 40 && packet[0]>>4 == 6 && packet[6] == unix.IPPROTO_ICMPV6 && packet[40] == 129:
		return netip.AddrFromSlice(packet[8:24])
	}
	return netip.Addr{}, false
}
