package frameswitch

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

var (
	me    = MAC{2, 0, 0, 0, 0, 2}
	other = MAC{2, 0, 0, 0, 0, 3}
	mine  = Sender{MAC: me, IPv4: netip.MustParseAddr("10.9.0.2"), IPv6: netip.MustParseAddr("fd09::2")}
)

func ethernet(source MAC, kind uint16, packet ...byte) []byte {
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, source[:]...)
	return append(binary.BigEndian.AppendUint16(frame, kind), packet...)
}

func arpPacket(mac MAC, sender string) []byte {
	p := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, mac[:]...)
	p = append(p, netip.MustParseAddr(sender).AsSlice()...)
	return append(p, make([]byte, 10)...)
}

func ip4(source string, protocol byte, fragment uint16, above ...byte) []byte {
	p := make([]byte, 20)
	p[0], p[9] = 0x45, protocol
	binary.BigEndian.PutUint16(p[6:], fragment)
	copy(p[12:], netip.MustParseAddr(source).AsSlice())
	return append(p, above...)
}

func ip6(source string, next byte, above ...byte) []byte {
	p := make([]byte, 40)
	p[0], p[6] = 0x60, next
	binary.BigEndian.PutUint16(p[4:], uint16(len(above)))
	copy(p[8:], netip.MustParseAddr(source).AsSlice())
	return append(p, above...)
}

func ports(from, to uint16) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to), 0, 8, 0, 0)
}

// about is a message of neighbour discovery with its options.
func about(kind byte, target string, options ...byte) []byte {
	m := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, netip.MustParseAddr(target).AsSlice()...)
	return append(m, options...)
}

// link is an option with a link-layer address.
func linkOption(kind byte, mac MAC) []byte { return append([]byte{kind, 1}, mac[:]...) }

const (
	icmp6 = 58
	udp   = 17
	tcp   = 6
	local = "fe80::ff:fe00:2" // of me
)

func TestMay(t *testing.T) {
	t.Parallel()
	fragment := func(next byte, offset uint16) []byte {
		return append([]byte{next, 0}, append(binary.BigEndian.AppendUint16(nil, offset), 0, 0, 0, 1)...)
	}
	hop := func(next byte) []byte { return []byte{next, 0, 0, 0, 0, 0, 0, 0} }
	for name, tt := range map[string]struct {
		frame []byte
		want  bool
	}{
		"arp":                  {ethernet(me, typeARP, arpPacket(me, "10.9.0.2")...), true},
		"arp probe":            {ethernet(me, typeARP, arpPacket(me, "0.0.0.0")...), true},
		"arp for another":      {ethernet(me, typeARP, arpPacket(me, "10.9.0.3")...), false},
		"arp by another's mac": {ethernet(me, typeARP, arpPacket(other, "10.9.0.2")...), false},
		"frame of another":     {ethernet(other, typeARP, arpPacket(me, "10.9.0.2")...), false},
		"short arp":            {ethernet(me, typeARP, 0, 1, 8, 0), false},
		"vlan":                 {ethernet(me, 0x8100, 0, 1, 8, 0), false},
		"no frame":             {me[:], false},

		"ipv4":                  {ethernet(me, typeIPv4, ip4("10.9.0.2", tcp, 0)...), true},
		"ipv4 of another":       {ethernet(me, typeIPv4, ip4("10.9.0.3", tcp, 0)...), false},
		"ipv4 of nobody":        {ethernet(me, typeIPv4, ip4("0.0.0.0", udp, 0, ports(68, 67)...)...), false},
		"ipv4 in a later part":  {ethernet(me, typeIPv4, ip4("10.9.0.2", udp, 100, 1)...), true},
		"another's later part":  {ethernet(me, typeIPv4, ip4("10.9.0.3", udp, 100, 1)...), false},
		"udp":                   {ethernet(me, typeIPv4, ip4("10.9.0.2", udp, 0, ports(4000, 53)...)...), true},
		"dhcp server":           {ethernet(me, typeIPv4, ip4("10.9.0.2", udp, 0, ports(67, 4000)...)...), false},
		"to a dhcp client":      {ethernet(me, typeIPv4, ip4("10.9.0.2", udp, 0, ports(4000, 68)...)...), false},
		"udp cut short":         {ethernet(me, typeIPv4, ip4("10.9.0.2", udp, 0, 0, 1, 0)...), false},
		"ping":                  {ethernet(me, typeIPv4, ip4("10.9.0.2", 1, 0, 8, 0, 0, 0)...), true},
		"redirect":              {ethernet(me, typeIPv4, ip4("10.9.0.2", 1, 0, 5, 0, 0, 0)...), false},
		"ipv4 that says ipv6":   {ethernet(me, typeIPv4, ip6("fd09::2", tcp)...), false},
		"options beyond packet": {ethernet(me, typeIPv4, append([]byte{0x4f}, ip4("10.9.0.2", tcp, 0)[1:]...)...), false},

		"ipv6":                    {ethernet(me, typeIPv6, ip6("fd09::2", tcp)...), true},
		"ipv6 link-local":         {ethernet(me, typeIPv6, ip6(local, udp, ports(1, 2)...)...), true},
		"ipv6 of another":         {ethernet(me, typeIPv6, ip6("fd09::3", tcp)...), false},
		"tcp of nobody":           {ethernet(me, typeIPv6, ip6("::", tcp)...), false},
		"multicast report":        {ethernet(me, typeIPv6, ip6("::", 0, append(hop(icmp6), 143, 0, 0, 0)...)...), true},
		"dhcpv6 server":           {ethernet(me, typeIPv6, ip6("fd09::2", udp, ports(547, 9)...)...), false},
		"to a dhcpv6 client":      {ethernet(me, typeIPv6, ip6("fd09::2", udp, ports(9, 546)...)...), false},
		"ping of ipv6":            {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, 128, 0, 0, 0)...), true},
		"router advertisement":    {ethernet(me, typeIPv6, ip6(local, icmp6, 134, 0, 0, 0)...), false},
		"advertisement in a part": {ethernet(me, typeIPv6, ip6(local, 44, append(fragment(icmp6, 1), 134, 0, 0, 0)...)...), false},
		"redirect of ipv6":        {ethernet(me, typeIPv6, ip6(local, icmp6, 137, 0, 0, 0)...), false},
		"hidden upper header":     {ethernet(me, typeIPv6, ip6("fd09::2", 44, fragment(0, 1)...)...), false},
		"later part":              {ethernet(me, typeIPv6, ip6("fd09::2", 44, fragment(0, 8)...)...), true},
		"another's later part v6": {ethernet(me, typeIPv6, ip6("fd09::3", 44, fragment(0, 8)...)...), false},
		"extension beyond packet": {ethernet(me, typeIPv6, ip6("fd09::2", 0, 6, 9, 0, 0)...), false},

		"solicitation":              {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(135, "fd09::3", linkOption(1, me)...)...)...), true},
		"with another's mac":        {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(135, "fd09::3", linkOption(1, other)...)...)...), false},
		"duplicate detection":       {ethernet(me, typeIPv6, ip6("::", icmp6, about(135, "fd09::2", 14, 1, 1, 2, 3, 4, 5, 6)...)...), true},
		"detection for another":     {ethernet(me, typeIPv6, ip6("::", icmp6, about(135, "fd09::3")...)...), false},
		"advertisement":             {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(136, "fd09::2", linkOption(2, me)...)...)...), true},
		"advertisement for another": {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(136, "fd09::3", linkOption(2, me)...)...)...), false},
		"two options":               {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(136, "fd09::2", append(linkOption(2, me), linkOption(2, other)...)...)...)...), false},
		"advertisement behind hop":  {ethernet(me, typeIPv6, ip6("fd09::2", 0, append(hop(icmp6), about(136, "fd09::2")...)...)...), false},
		"advertisement cut short":   {ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(136, "fd09::2")[:20]...)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mine.May(tt.frame); got != tt.want {
				t.Errorf("may: %t, want %t", got, tt.want)
			}
		})
	}
	none := Sender{MAC: me}
	if none.May(ethernet(me, typeIPv4, ip4("10.9.0.2", tcp, 0)...)) || none.May(ethernet(me, typeIPv6, ip6(local, tcp)...)) ||
		none.May(ethernet(me, typeARP, arpPacket(me, "0.0.0.0")...)) {
		t.Error("a port without addresses may send")
	}
}

// Whatever a frame is, it is let through only with the port's own addresses at the
// places where every receiver looks for them.
func FuzzMay(f *testing.F) {
	f.Add(ethernet(me, typeARP, arpPacket(me, "10.9.0.2")...))
	f.Add(ethernet(me, typeIPv4, ip4("10.9.0.2", udp, 0, ports(1, 2)...)...))
	f.Add(ethernet(me, typeIPv6, ip6(local, 0, 58, 0, 0, 0, 0, 0, 0, 0, 143, 0, 0, 0)...))
	f.Add(ethernet(me, typeIPv6, ip6("fd09::2", icmp6, about(136, "fd09::2", linkOption(2, me)...)...)...))
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := slices.Clone(frame)
		if !mine.May(frame) {
			return
		}
		if !slices.Equal(before, frame) {
			t.Error("the frame was changed")
		}
		if MAC(frame[6:]) != me {
			t.Errorf("let through from %x", frame[6:12])
		}
		packet := frame[14:]
		var source, own netip.Addr
		switch binary.BigEndian.Uint16(frame[12:]) {
		case typeARP:
			source, own = netip.AddrFrom4([4]byte(packet[14:])), mine.IPv4
		case typeIPv4:
			source, own = netip.AddrFrom4([4]byte(packet[12:])), mine.IPv4
		case typeIPv6:
			source, own = netip.AddrFrom16([16]byte(packet[8:])), mine.IPv6
		}
		if source != own && !source.IsUnspecified() && source != netip.MustParseAddr(local) {
			t.Errorf("let through from %v", source)
		}
	})
}
