//go:build integration

// Package hostile has what a container can send that makes its frames by itself:
// for tests that none of it arrives.
package hostile

import (
	"bytes"
	"slices"

	"patchbay.dev/patchbay/resource"
)

// Party is a container on a network, with addresses as they are in frames.
type Party struct {
	MAC, IPv4, IPv6, LinkLocal []byte
	Gateway4, Gateway6         []byte // of the network
}

// NewParty returns that of an attachment, which has addresses and gateways of both
// families.
func NewParty(a resource.Attachment) Party {
	p := Party{
		MAC: a.MACAddress.HardwareAddr(), IPv4: a.IPv4Address.Addr().AsSlice(), IPv6: a.IPv6Address.Addr().AsSlice(),
		Gateway4: a.IPv4Gateway.AsSlice(), Gateway6: a.IPv6Gateway.AsSlice(),
	}
	p.LinkLocal = slices.Concat([]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, p.MAC[0] ^ 2}, p.MAC[1:3], []byte{0xff, 0xfe}, p.MAC[3:])
	return p
}

// Attack is what a hostile container sends, and the rules of a bridge network that
// stop it: each a chain of the bridge table and the beginning of the rule in it.
type Attack struct {
	Frames [][]byte
	Seen   []byte // in a frame that arrived; nil: the last frame as it is
	Rules  [][2]string
}

// SeenIn reports whether a frame that arrived is of the attack.
func (x Attack) SeenIn(frame []byte) bool {
	if x.Seen != nil {
		return bytes.Contains(frame, x.Seen)
	}
	return bytes.Equal(frame, x.Frames[len(x.Frames)-1])
}

// Mark is an honest frame of a to everybody, told from others by its text. Frames
// keep their order: what has not arrived before a later mark does not arrive.
func Mark(a, v Party, text string) []byte {
	return Ethernet(broadcast, a.MAC, 0x0800, IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, UDP(a.IPv4, v.IPv4, 1, 1, text)))
}

// Here tells everybody, as v does by right, where v is.
func Here(v Party) []byte { return ARPReply(v.MAC, v.MAC, v.IPv4) }

var (
	nodes6 = Address("ff02::1")
	none6  = make([]byte, 16)
)

// Attacks are what a can send to harm its neighbour v, or to pass for somebody else.
func Attacks(a, v Party) map[string]Attack {
	to4 := func(payload []byte) []byte { return Ethernet(v.MAC, a.MAC, 0x0800, payload) }
	to6 := func(payload ...[]byte) []byte { return Ethernet(v.MAC, a.MAC, 0x86dd, payload...) }
	nd := func(kind byte, source, about []byte, options ...[]byte) []byte {
		return to6(IPv6(source, nodes6, protocolICMP6, neighbour6(source, nodes6, kind, about, options...)))
	}
	one := func(frame []byte, rules ...[2]string) Attack { return Attack{Frames: [][]byte{frame}, Rules: rules} }
	datagram4 := UDP(a.IPv4, v.IPv4, 4000, 4001, "hello")
	datagram6 := UDP(v.IPv6, v.IPv6, 4000, 4001, "hello")
	gateway6 := Address("fe80::1")
	prefix := slices.Concat([]byte{3, 4, 64, 0xc0}, make([]byte, 12), Address("2001:db8:bad::"))
	ra := icmp6(a.LinkLocal, nodes6, typeRA, []byte{64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}, prefix)
	tagged := slices.Concat(v.MAC, a.MAC, []byte{0x81, 0, 0, 7, 8, 0}, IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, UDP(a.IPv4, v.IPv4, 4000, 4001, "tagged")))
	all := map[string]Attack{
		"IPv4 source of the neighbour":  one(to4(IPv4(v.IPv4, v.IPv4, ProtocolUDP, 0, datagram4)), [2]string{"port-source4", "drop"}),
		"IPv4 source of nobody":         one(to4(IPv4(Address("203.0.113.5"), v.IPv4, ProtocolUDP, 0, datagram4)), [2]string{"port-source4", "drop"}),
		"IPv4 source, later fragment":   one(to4(IPv4(v.IPv4, v.IPv4, ProtocolUDP, 8, datagram4)), [2]string{"port-source4", "drop"}),
		"IPv6 source of the neighbour":  one(to6(IPv6(v.IPv6, v.IPv6, ProtocolUDP, datagram6)), [2]string{"port-source6", "drop"}),
		"IPv6 source, later fragment":   one(to6(IPv6(v.IPv6, v.IPv6, headerFragment, fragment6(ProtocolUDP, 8, 0, datagram6))), [2]string{"port-source6", "drop"}),
		"IPv6 link-local source":        one(to6(IPv6(gateway6, v.IPv6, ProtocolUDP, UDP(gateway6, v.IPv6, 4000, 4001, "hello"))), [2]string{"port-source6", "drop"}),
		"MAC address of the neighbour":  one(Ethernet(broadcast, v.MAC, 0x0806, []byte{0, 1, 8, 0, 6, 4, 0, 1}, a.MAC, a.IPv4, broadcast, a.IPv4), [2]string{"port", "iifname . ether saddr != @ports drop"}),
		"MAC address in an IPv4 packet": one(Ethernet(v.MAC, []byte{2, 0, 0, 0, 0, 0x66}, 0x0800, IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, datagram4)), [2]string{"port", "iifname . ether saddr != @ports drop"}, [2]string{"port-source4", "drop"}),
		"ARP answer for the gateway":    one(ARPReply(a.MAC, a.MAC, a.Gateway4), [2]string{"port-arp", "drop"}),
		"ARP answer for the neighbour":  one(ARPReply(a.MAC, a.MAC, v.IPv4), [2]string{"port-arp", "drop"}),
		"ARP answer with another MAC":   one(ARPReply(a.MAC, v.MAC, a.IPv4), [2]string{"port-arp", "drop"}),
		"ARP probe with another MAC":    one(ARPReply(a.MAC, v.MAC, []byte{0, 0, 0, 0}), [2]string{"port-arp", "drop"}),
		"ARP of another form":           one(Ethernet(broadcast, a.MAC, 0x0806, []byte{0, 1, 8, 0, 8, 4, 0, 2}, a.MAC, a.IPv4, v.MAC, v.IPv4), [2]string{"port-arp", "@nh,0,48 != 0x108000604 drop"}),

		"NA for the neighbour's address":     one(nd(typeNA, a.LinkLocal, v.IPv6, option6(optionTargetMAC, a.MAC)), [2]string{"port-neighbour", "icmpv6 type nd-neighbor-advert iifname"}),
		"NA for the gateway":                 one(nd(typeNA, a.IPv6, a.Gateway6, option6(optionTargetMAC, a.MAC)), [2]string{"port-neighbour", "icmpv6 type nd-neighbor-advert iifname"}),
		"NA from the neighbour":              one(nd(typeNA, v.IPv6, a.IPv6, option6(optionTargetMAC, a.MAC)), [2]string{"port-neighbour", "@nh,64,128 != 0x0"}),
		"NA with another MAC":                one(nd(typeNA, a.LinkLocal, a.IPv6, option6(optionTargetMAC, v.MAC)), [2]string{"port-neighbour", "drop"}),
		"NA with another MAC in 2nd option":  one(nd(typeNA, a.LinkLocal, a.IPv6, option6(optionNonce, v.MAC), option6(optionTargetMAC, v.MAC)), [2]string{"port-neighbour", "drop"}),
		"NA with another MAC, long option":   one(nd(typeNA, a.LinkLocal, a.IPv6, append([]byte{optionTargetMAC, 2}, make([]byte, 14)...)), [2]string{"port-neighbour", "drop"}),
		"NS from the neighbour":              one(nd(typeNS, v.IPv6, a.Gateway6, option6(optionSourceMAC, a.MAC)), [2]string{"port-neighbour", "@nh,64,128 != 0x0"}),
		"NS with another MAC":                one(nd(typeNS, a.IPv6, a.Gateway6, option6(optionSourceMAC, v.MAC)), [2]string{"port-neighbour", "drop"}),
		"NS that claims another's address":   one(nd(typeNS, none6, v.IPv6, option6(optionNonce, a.MAC)), [2]string{"port-neighbour", "@nh,64,128 0x0"}),
		"NA behind an extension header":      one(to6(IPv6(a.LinkLocal, nodes6, headerOptions, append([]byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}, neighbour6(a.LinkLocal, nodes6, typeNA, a.IPv6, option6(optionTargetMAC, v.MAC))...))), [2]string{"port-neighbour", "@nh,48,8 != 0x3a drop"}, [2]string{"port-neighbour", "drop"}),
		"NA with its option in 2nd fragment": one(to6(IPv6(a.LinkLocal, nodes6, headerFragment, fragment6(protocolICMP6, 0, moreFragments, neighbour6(a.LinkLocal, nodes6, typeNA, a.IPv6)))), [2]string{"port-neighbour", "@nh,48,8 != 0x3a drop"}, [2]string{"port-neighbour", "drop"}),
		"router advertisement":               one(to6(IPv6(a.LinkLocal, nodes6, protocolICMP6, ra)), [2]string{"port-icmp6", "icmpv6 type nd-router-advert drop"}),
		"router advertisement, fragmented": {Frames: [][]byte{
			to6(IPv6(a.LinkLocal, nodes6, headerFragment, fragment6(headerOptions, 0, moreFragments, []byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}))),
			to6(IPv6(a.LinkLocal, nodes6, headerFragment, fragment6(headerOptions, 1, 0, ra))),
		}, Seen: []byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}, Rules: [][2]string{{"port-icmp6", "drop"}}},
		"router advertisement, behind an extension header": one(to6(IPv6(a.LinkLocal, nodes6, headerOptions, append([]byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}, ra...))), [2]string{"port-icmp6", "icmpv6 type nd-router-advert drop"}),
		"redirect":      one(to6(IPv6(a.LinkLocal, v.LinkLocal, protocolICMP6, icmp6(a.LinkLocal, v.LinkLocal, typeRedirect, make([]byte, 4), a.LinkLocal, Address("2001:db8::9")))), [2]string{"port-icmp6", "icmpv6 type nd-redirect drop"}),
		"IPv4 redirect": one(to4(IPv4(a.IPv4, v.IPv4, 1, 0, slices.Concat([]byte{5, 1, 0, 0}, a.IPv4, IPv4(v.IPv4, Address("192.0.2.9"), ProtocolUDP, 0, datagram4)))), [2]string{"port-ip4", "icmp type redirect drop"}),

		"DHCP answer":                      one(to4(IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, UDP(a.IPv4, v.IPv4, 67, 68, "offer"))), [2]string{"port-ip4", "udp sport 67 drop"}, [2]string{"port-ip4", "udp dport 68 drop"}),
		"DHCP answer from the server port": one(to4(IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, UDP(a.IPv4, v.IPv4, 67, 4068, "offer"))), [2]string{"port-ip4", "udp sport 67 drop"}),
		"DHCP answer to the client port":   one(to4(IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, UDP(a.IPv4, v.IPv4, 4067, 68, "offer"))), [2]string{"port-ip4", "udp dport 68 drop"}),
		"DHCP answer, first fragment":      one(to4(IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0x2000, UDP(a.IPv4, v.IPv4, 4067, 68, ""))), [2]string{"port-ip4", "udp dport 68 drop"}),
		"DHCPv6 answer":                    one(to6(IPv6(a.LinkLocal, v.LinkLocal, ProtocolUDP, UDP(a.LinkLocal, v.LinkLocal, 547, 546, "reply"))), [2]string{"port-ip6", "meta l4proto udp drop"}),
		"DHCPv6 answer to the client port": one(to6(IPv6(a.LinkLocal, v.LinkLocal, ProtocolUDP, UDP(a.LinkLocal, v.LinkLocal, 4547, 546, "reply"))), [2]string{"port-ip6", "meta l4proto udp drop"}),
		"DHCPv6 answer, fragmented": {Frames: [][]byte{
			to6(IPv6(a.LinkLocal, v.LinkLocal, headerFragment, fragment6(headerOptions, 0, moreFragments, []byte{ProtocolUDP, 0, 1, 4, 0, 0, 0, 0}))),
			to6(IPv6(a.LinkLocal, v.LinkLocal, headerFragment, fragment6(headerOptions, 1, 0, UDP(a.LinkLocal, v.LinkLocal, 547, 546, "reply")))),
		}, Seen: []byte{ProtocolUDP, 0, 1, 4, 0, 0, 0, 0}, Rules: [][2]string{{"port-ip6", "meta l4proto udp drop"}}},

		"VLAN tag":         {Frames: [][]byte{tagged}, Seen: tagged[18:], Rules: [][2]string{{"port", "drop"}}},
		"another protocol": one(Ethernet(broadcast, a.MAC, 0x8863, []byte("PPPoE")), [2]string{"port", "drop"}),
		"malformed IPv4":   one(to4(append([]byte{0x41}, IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, datagram4)[1:]...)), [2]string{"port-ip4", "drop"}),
		"malformed IPv6":   one(to6(IPv6(a.LinkLocal, v.LinkLocal, headerOptions, []byte{headerOptions, 200, 1, 4, 0, 0, 0, 0})), [2]string{"port-ip6", "drop"}),
	}
	return all
}

// Needless is what a says by right and no other container needs to hear, with the rules
// of a bridge network that see to it.
func Needless(a, v Party) map[string]Attack {
	report := func(kind byte, name string) Attack {
		frame := Ethernet(v.MAC, a.MAC, 0x86dd, IPv6(a.LinkLocal, nodes6, headerOptions,
			append([]byte{protocolICMP6, 0, 5, 2, 0, 0, 1, 0}, icmp6(a.LinkLocal, nodes6, kind, make([]byte, 20))...)))
		return Attack{Frames: [][]byte{frame}, Rules: [][2]string{{"port-icmp6", "icmpv6 type " + name + " drop"}}}
	}
	return map[string]Attack{
		"listener report":    report(131, "mld-listener-report"),
		"listener done":      report(132, "mld-listener-done"),
		"listener report v2": report(143, "mld2-listener-report"),
	}
}

// Honest is what a says by right.
func Honest(a, v Party) map[string][]byte {
	to6 := func(payload []byte) []byte { return Ethernet(v.MAC, a.MAC, 0x86dd, payload) }
	nd := func(kind byte, source, about []byte, options ...[]byte) []byte {
		return to6(IPv6(source, nodes6, protocolICMP6, neighbour6(source, nodes6, kind, about, options...)))
	}
	return map[string][]byte{
		"ARP announcement":            ARPReply(a.MAC, a.MAC, a.IPv4),
		"ARP probe":                   ARPReply(a.MAC, a.MAC, []byte{0, 0, 0, 0}),
		"IPv4":                        Ethernet(v.MAC, a.MAC, 0x0800, IPv4(a.IPv4, v.IPv4, ProtocolUDP, 0, UDP(a.IPv4, v.IPv4, 4000, 4001, "hello"))),
		"IPv4, later fragment":        Ethernet(v.MAC, a.MAC, 0x0800, IPv4(a.IPv4, v.IPv4, ProtocolUDP, 8, []byte("fragment"))),
		"IPv6":                        to6(IPv6(a.IPv6, v.IPv6, ProtocolUDP, UDP(a.IPv6, v.IPv6, 4000, 4001, "hello"))),
		"IPv6, first fragment":        to6(IPv6(a.IPv6, v.IPv6, headerFragment, fragment6(ProtocolUDP, 0, moreFragments, UDP(a.IPv6, v.IPv6, 4000, 4001, "")))),
		"IPv6, later fragment":        to6(IPv6(a.IPv6, v.IPv6, headerFragment, fragment6(ProtocolUDP, 8, 0, []byte("fragment")))),
		"echo request":                to6(IPv6(a.IPv6, v.IPv6, protocolICMP6, icmp6(a.IPv6, v.IPv6, 128, []byte("echo")))),
		"solicitation":                nd(typeNS, a.IPv6, v.IPv6, option6(optionSourceMAC, a.MAC)),
		"solicitation without option": nd(typeNS, a.LinkLocal, v.IPv6),
		"address detection":           nd(typeNS, none6, a.LinkLocal, option6(optionNonce, []byte("nonce!"))),
		"advertisement":               nd(typeNA, a.IPv6, a.IPv6, option6(optionTargetMAC, a.MAC)),
		"advertisement of link-local": nd(typeNA, a.LinkLocal, a.LinkLocal),
		"router solicitation":         to6(IPv6(none6, nodes6, protocolICMP6, icmp6(none6, nodes6, 133, make([]byte, 4)))),
	}
}
