// Package frameswitch is an Ethernet switch in user space, for containers whose
// frames come over unix sockets. It knows who is at which port, learns nothing, and
// lets a port send nothing but what is its own.
package frameswitch

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// MAC is an Ethernet address.
type MAC = [6]byte

// Sender is who may send at a port: the same rules as those of the packet filter
// for bridges. What cannot be understood is refused.
type Sender struct {
	MAC  MAC
	IPv4 netip.Addr // zero: no IPv4
	IPv6 netip.Addr // zero: no IPv6
}

// Places in an Ethernet frame and types of its content (IEEE 802.3).
const (
	etherSource = 6
	etherType   = 12
	etherHeader = 14

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// Lengths of headers without options.
const (
	arpLength  = 28 // of IPv4 over Ethernet, RFC 826
	ip4Header  = 20
	ip6Header  = 40
	udpHeader  = 8
	icmpHeader = 4
)

// UDP ports of DHCP (RFC 2131) and DHCPv6 (RFC 8415).
const (
	dhcp4Server, dhcp4Client = 67, 68
	dhcp6Client, dhcp6Server = 546, 547
)

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4861).
const (
	redirect4              = 5
	routerAdvertisement    = 134
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	redirect6              = 137
)

// May reports whether a frame may be sent.
func (s Sender) May(frame []byte) bool {
	if len(frame) < etherHeader || MAC(frame[etherSource:etherType]) != s.MAC {
		return false
	}
	packet := frame[etherHeader:]
	switch binary.BigEndian.Uint16(frame[etherType:]) {
	case typeARP:
		return s.mayARP(packet)
	case typeIPv4:
		return s.mayIP4(packet)
	case typeIPv6:
		return s.mayIP6(packet)
	}
	return false
}

// mayARP checks both addresses that a message says are its sender's; one without
// an IP address is a probe (RFC 5227).
func (s Sender) mayARP(p []byte) bool {
	if len(p) < arpLength || [6]byte(p) != [6]byte{0, 1, 0x08, 0x00, 6, 4} {
		return false
	}
	sender := netip.AddrFrom4([4]byte(p[14:]))
	return MAC(p[8:]) == s.MAC && s.IPv4.IsValid() && (sender == s.IPv4 || sender.IsUnspecified())
}

// mayIP4 checks IPv4 packets. A later fragment has no header of the protocol above
// to look at, and is nothing without the first one.
func (s Sender) mayIP4(p []byte) bool {
	if len(p) < ip4Header || p[0]>>4 != 4 || netip.AddrFrom4([4]byte(p[12:])) != s.IPv4 {
		return false
	}
	length := int(p[0]&0x0f) * 4
	if length < ip4Header || length > len(p) {
		return false
	}
	if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return true
	}
	above := p[length:]
	switch p[9] {
	case unix.IPPROTO_UDP:
		from, to, ok := udpPorts(above)
		return ok && from != dhcp4Server && to != dhcp4Client
	case unix.IPPROTO_ICMP:
		return len(above) >= icmpHeader && above[0] != redirect4
	}
	return true
}

func udpPorts(p []byte) (from, to uint16, ok bool) {
	if len(p) < udpHeader {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:]), true
}

// mayIP6 checks IPv6 packets. One that hides the header of the protocol above in a
// later fragment is refused (RFC 7112).
func (s Sender) mayIP6(p []byte) bool {
	if len(p) < ip6Header || p[0]>>4 != 6 || !s.IPv6.IsValid() {
		return false
	}
	source := netip.AddrFrom16([16]byte(p[8:]))
	own := source == s.IPv6 || source == s.linkLocal()
	u, ok := upper(p)
	switch {
	case !ok:
		return false
	case u.later:
		return own
	case u.protocol == unix.IPPROTO_UDP:
		from, to, ok := udpPorts(u.content)
		return own && ok && from != dhcp6Server && to != dhcp6Client
	case u.protocol != unix.IPPROTO_ICMPV6:
		return own
	case len(u.content) < icmpHeader:
		return false
	}
	switch u.content[0] {
	case routerAdvertisement, redirect6:
		return false
	case neighbourSolicitation, neighbourAdvertisement:
		return u.bare && (own || source.IsUnspecified()) && s.mayNeighbour(source, u.content)
	}
	return own || source.IsUnspecified() // RFC 4862, RFC 3590
}

// mayNeighbour checks neighbour discovery (RFC 4861, sections 4.3 and 4.4): who
// has no address yet asks for its own, who answers answers for its own. At most
// one option is let through, as Linux sends it: a link-layer address, which must be
// the port's, or the nonce of duplicate address detection (RFC 7527).
func (s Sender) mayNeighbour(source netip.Addr, message []byte) bool {
	const (
		bare                = 24 // to the end of the target address
		link, target, nonce = 1, 2, 14
	)
	if len(message) < bare {
		return false
	}
	about := netip.AddrFrom16([16]byte(message[8:]))
	if (source.IsUnspecified() || message[0] == neighbourAdvertisement) && about != s.IPv6 && about != s.linkLocal() {
		return false
	}
	switch option := message[bare:]; {
	case len(option) == 0:
		return true
	case len(option) != 8 || option[1] != 1:
		return false
	case option[0] == link || option[0] == target:
		return MAC(option[2:]) == s.MAC
	default:
		return option[0] == nonce
	}
}

// linkLocal is the address that the kernel gives an interface with that MAC
// address (RFC 4291, appendix A).
func (s Sender) linkLocal() netip.Addr {
	m := s.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// upperLayer is what an IPv6 packet carries.
type upperLayer struct {
	protocol byte
	content  []byte
	later    bool // it is not the first fragment: neither is known
	bare     bool // no header stands between
}

// upper walks over extension headers (RFC 8200, section 4).
func upper(p []byte) (upperLayer, bool) {
	next, rest := p[6], p[ip6Header:]
	if length := int(binary.BigEndian.Uint16(p[4:])); length <= len(rest) { // the frame may be padded
		rest = rest[:length]
	}
	for bare := true; ; bare = false {
		length := 0
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if len(rest) >= 2 {
				length = 8 + int(rest[1])*8
			}
		case unix.IPPROTO_FRAGMENT:
			length = 8
			if len(rest) >= length && binary.BigEndian.Uint16(rest[2:])&0xfff8 != 0 {
				return upperLayer{later: true}, true
			}
		default:
			return upperLayer{protocol: next, content: rest, bare: bare}, true
		}
		if length == 0 || length > len(rest) {
			return upperLayer{}, false
		}
		next, rest = rest[0], rest[length:]
	}
}
