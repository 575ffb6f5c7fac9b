package forward

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// local is the address of the host that a datagram was sent to, and for a
// link-local one the interface. Zero: the kernel does not tell, since the socket
// has one address only.
type local struct {
	address netip.Addr
	zone    uint32
}

// tellLocal lets the kernel tell of each datagram's local address (ip(7),
// ipv6(7)). On a socket for both families it tells of IPv4 in the form of IPv6.
func tellLocal(c *net.UDPConn) error {
	if bound, err := netip.ParseAddrPort(c.LocalAddr().String()); err != nil || !bound.Addr().IsUnspecified() {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var option error
	err = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			option = err
			return
		}
		if domain == unix.AF_INET6 {
			option = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			option = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	return errors.Join(err, option)
}

// localOf reads struct in_pktinfo or in6_pktinfo.
func localOf(control []byte) local {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return local{}
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			const destination = 4 // ipi_spec_dst
			return local{address: netip.AddrFrom4([4]byte(m.Data[destination:]))}
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			l := local{address: netip.AddrFrom16([16]byte(m.Data))}
			if l.address.IsLinkLocalUnicast() {
				const index = 16 // ipi6_ifindex, in the host's byte order
				l.zone = binary.NativeEndian.Uint32(m.Data[index:])
			}
			return l
		}
	}
	return local{}
}

// control has an answer leave from the address.
func (l local) control() []byte {
	switch {
	case !l.address.IsValid():
		return nil
	case l.address.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: l.address.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: l.address.As16(), Ifindex: l.zone})
}
