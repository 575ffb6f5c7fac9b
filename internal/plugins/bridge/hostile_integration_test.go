//go:build integration

package bridge

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
)

// attack is what a hostile container sends, and the rules that stop it: each a
// chain of the bridge table and the beginning of the rule in it.
type attack struct {
	frames [][]byte
	seen   []byte // in a frame that arrived; nil: the last frame as it is
	rules  [][2]string
}

// party is a container with its addresses as they are in frames.
type party struct {
	box
	wire                *netnstest.Wire
	mac, ip4, ip6, link []byte
}

func (s *served) party(t *testing.T, key string) party {
	t.Helper()
	b := s.plug(t, netnstest.New(t), key, "eth0")
	p := party{box: b, wire: netnstest.OpenWire(t, b.Namespace, b.iface), mac: hardware(b.port.Attachment.MACAddress), ip4: ip(b.v4), ip6: ip(b.v6)}
	p.link = slices.Concat([]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, p.mac[0] ^ 2}, p.mac[1:3], []byte{0xff, 0xfe}, p.mac[3:])
	return p
}

var (
	nodes6 = ip("ff02::1")
	none6  = make([]byte, 16)
)

// attacks are those of a on its neighbour v.
func attacks(a, v party) map[string]attack {
	to4 := func(payload []byte) []byte { return ethernet(v.mac, a.mac, 0x0800, payload) }
	to6 := func(payload ...[]byte) []byte { return ethernet(v.mac, a.mac, 0x86dd, payload...) }
	nd := func(kind byte, source, about []byte, options ...[]byte) []byte {
		return to6(ip6(source, nodes6, protocolICMP6, neighbour6(source, nodes6, kind, about, options...)))
	}
	one := func(frame []byte, rules ...[2]string) attack { return attack{frames: [][]byte{frame}, rules: rules} }
	datagram4 := udp(a.ip4, v.ip4, 4000, 4001, "hello")
	datagram6 := udp(v.ip6, v.ip6, 4000, 4001, "hello")
	gateway6 := ip("fe80::1")
	prefix := slices.Concat([]byte{3, 4, 64, 0xc0}, make([]byte, 12), ip("2001:db8:bad::"))
	ra := icmp6(a.link, nodes6, typeRA, []byte{64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}, prefix)
	tagged := slices.Concat(v.mac, a.mac, []byte{0x81, 0, 0, 7, 8, 0}, ip4(a.ip4, v.ip4, protocolUDP, 0, udp(a.ip4, v.ip4, 4000, 4001, "tagged")))
	all := map[string]attack{
		"IPv4 source of the neighbour":  one(to4(ip4(v.ip4, v.ip4, protocolUDP, 0, datagram4)), [2]string{"port-source4", "drop"}),
		"IPv4 source of nobody":         one(to4(ip4(ip("203.0.113.5"), v.ip4, protocolUDP, 0, datagram4)), [2]string{"port-source4", "drop"}),
		"IPv4 source, later fragment":   one(to4(ip4(v.ip4, v.ip4, protocolUDP, 8, datagram4)), [2]string{"port-source4", "drop"}),
		"IPv6 source of the neighbour":  one(to6(ip6(v.ip6, v.ip6, protocolUDP, datagram6)), [2]string{"port-source6", "drop"}),
		"IPv6 source, later fragment":   one(to6(ip6(v.ip6, v.ip6, headerFragment, fragment6(protocolUDP, 8, 0, datagram6))), [2]string{"port-source6", "drop"}),
		"IPv6 link-local source":        one(to6(ip6(gateway6, v.ip6, protocolUDP, udp(gateway6, v.ip6, 4000, 4001, "hello"))), [2]string{"port-source6", "drop"}),
		"MAC address of the neighbour":  one(ethernet(broadcast, v.mac, 0x0806, []byte{0, 1, 8, 0, 6, 4, 0, 1}, a.mac, a.ip4, broadcast, a.ip4), [2]string{"port", "iifname . ether saddr != @ports drop"}),
		"MAC address in an IPv4 packet": one(ethernet(v.mac, []byte{2, 0, 0, 0, 0, 0x66}, 0x0800, ip4(a.ip4, v.ip4, protocolUDP, 0, datagram4)), [2]string{"port", "iifname . ether saddr != @ports drop"}, [2]string{"port-source4", "drop"}),
		"ARP answer for the gateway":    one(arpReply(a.mac, a.mac, ip("10.9.0.1")), [2]string{"port-arp", "drop"}),
		"ARP answer for the neighbour":  one(arpReply(a.mac, a.mac, v.ip4), [2]string{"port-arp", "drop"}),
		"ARP answer with another MAC":   one(arpReply(a.mac, v.mac, a.ip4), [2]string{"port-arp", "drop"}),
		"ARP probe with another MAC":    one(arpReply(a.mac, v.mac, []byte{0, 0, 0, 0}), [2]string{"port-arp", "drop"}),
		"ARP of another form":           one(ethernet(broadcast, a.mac, 0x0806, []byte{0, 1, 8, 0, 8, 4, 0, 2}, a.mac, a.ip4, v.mac, v.ip4), [2]string{"port-arp", "@nh,0,48 != 0x108000604 drop"}),

		"NA for the neighbour's address":     one(nd(typeNA, a.link, v.ip6, option6(optionTargetMAC, a.mac)), [2]string{"port-neighbour", "icmpv6 type nd-neighbor-advert iifname"}),
		"NA for the gateway":                 one(nd(typeNA, a.ip6, ip("fd09::1"), option6(optionTargetMAC, a.mac)), [2]string{"port-neighbour", "icmpv6 type nd-neighbor-advert iifname"}),
		"NA from the neighbour":              one(nd(typeNA, v.ip6, a.ip6, option6(optionTargetMAC, a.mac)), [2]string{"port-neighbour", "@nh,64,128 != 0x0"}),
		"NA with another MAC":                one(nd(typeNA, a.link, a.ip6, option6(optionTargetMAC, v.mac)), [2]string{"port-neighbour", "drop"}),
		"NA with another MAC in 2nd option":  one(nd(typeNA, a.link, a.ip6, option6(optionNonce, v.mac), option6(optionTargetMAC, v.mac)), [2]string{"port-neighbour", "drop"}),
		"NA with another MAC, long option":   one(nd(typeNA, a.link, a.ip6, append([]byte{optionTargetMAC, 2}, make([]byte, 14)...)), [2]string{"port-neighbour", "drop"}),
		"NS from the neighbour":              one(nd(typeNS, v.ip6, ip("fd09::1"), option6(optionSourceMAC, a.mac)), [2]string{"port-neighbour", "@nh,64,128 != 0x0"}),
		"NS with another MAC":                one(nd(typeNS, a.ip6, ip("fd09::1"), option6(optionSourceMAC, v.mac)), [2]string{"port-neighbour", "drop"}),
		"NS that claims another's address":   one(nd(typeNS, none6, v.ip6, option6(optionNonce, a.mac)), [2]string{"port-neighbour", "@nh,64,128 0x0"}),
		"NA behind an extension header":      one(to6(ip6(a.link, nodes6, headerOptions, append([]byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}, neighbour6(a.link, nodes6, typeNA, a.ip6, option6(optionTargetMAC, v.mac))...))), [2]string{"port-neighbour", "@nh,48,8 != 0x3a drop"}, [2]string{"port-neighbour", "drop"}),
		"NA with its option in 2nd fragment": one(to6(ip6(a.link, nodes6, headerFragment, fragment6(protocolICMP6, 0, moreFragments, neighbour6(a.link, nodes6, typeNA, a.ip6)))), [2]string{"port-neighbour", "@nh,48,8 != 0x3a drop"}, [2]string{"port-neighbour", "drop"}),
		"router advertisement":               one(to6(ip6(a.link, nodes6, protocolICMP6, ra)), [2]string{"port-icmp6", "icmpv6 type nd-router-advert drop"}),
		"router advertisement, fragmented": {frames: [][]byte{
			to6(ip6(a.link, nodes6, headerFragment, fragment6(headerOptions, 0, moreFragments, []byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}))),
			to6(ip6(a.link, nodes6, headerFragment, fragment6(headerOptions, 1, 0, ra))),
		}, seen: []byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}, rules: [][2]string{{"port-icmp6", "drop"}}},
		"router advertisement, behind an extension header": one(to6(ip6(a.link, nodes6, headerOptions, append([]byte{protocolICMP6, 0, 1, 4, 0, 0, 0, 0}, ra...))), [2]string{"port-icmp6", "icmpv6 type nd-router-advert drop"}),
		"redirect":      one(to6(ip6(a.link, v.link, protocolICMP6, icmp6(a.link, v.link, typeRedirect, make([]byte, 4), a.link, ip("2001:db8::9")))), [2]string{"port-icmp6", "icmpv6 type nd-redirect drop"}),
		"IPv4 redirect": one(to4(ip4(a.ip4, v.ip4, 1, 0, slices.Concat([]byte{5, 1, 0, 0}, a.ip4, ip4(v.ip4, ip("192.0.2.9"), protocolUDP, 0, datagram4)))), [2]string{"port-ip4", "icmp type redirect drop"}),

		"DHCP answer":                      one(to4(ip4(a.ip4, v.ip4, protocolUDP, 0, udp(a.ip4, v.ip4, 67, 68, "offer"))), [2]string{"port-ip4", "udp sport 67 drop"}, [2]string{"port-ip4", "udp dport 68 drop"}),
		"DHCP answer from the server port": one(to4(ip4(a.ip4, v.ip4, protocolUDP, 0, udp(a.ip4, v.ip4, 67, 4068, "offer"))), [2]string{"port-ip4", "udp sport 67 drop"}),
		"DHCP answer to the client port":   one(to4(ip4(a.ip4, v.ip4, protocolUDP, 0, udp(a.ip4, v.ip4, 4067, 68, "offer"))), [2]string{"port-ip4", "udp dport 68 drop"}),
		"DHCP answer, first fragment":      one(to4(ip4(a.ip4, v.ip4, protocolUDP, 0x2000, udp(a.ip4, v.ip4, 4067, 68, ""))), [2]string{"port-ip4", "udp dport 68 drop"}),
		"DHCPv6 answer":                    one(to6(ip6(a.link, v.link, protocolUDP, udp(a.link, v.link, 547, 546, "reply"))), [2]string{"port-ip6", "meta l4proto udp drop"}),
		"DHCPv6 answer to the client port": one(to6(ip6(a.link, v.link, protocolUDP, udp(a.link, v.link, 4547, 546, "reply"))), [2]string{"port-ip6", "meta l4proto udp drop"}),
		"DHCPv6 answer, fragmented": {frames: [][]byte{
			to6(ip6(a.link, v.link, headerFragment, fragment6(headerOptions, 0, moreFragments, []byte{protocolUDP, 0, 1, 4, 0, 0, 0, 0}))),
			to6(ip6(a.link, v.link, headerFragment, fragment6(headerOptions, 1, 0, udp(a.link, v.link, 547, 546, "reply")))),
		}, seen: []byte{protocolUDP, 0, 1, 4, 0, 0, 0, 0}, rules: [][2]string{{"port-ip6", "meta l4proto udp drop"}}},

		"VLAN tag":         {frames: [][]byte{tagged}, seen: tagged[18:], rules: [][2]string{{"port", "drop"}}},
		"another protocol": one(ethernet(broadcast, a.mac, 0x8863, []byte("PPPoE")), [2]string{"port", "drop"}),
		"malformed IPv4":   one(to4(append([]byte{0x41}, ip4(a.ip4, v.ip4, protocolUDP, 0, datagram4)[1:]...)), [2]string{"port-ip4", "drop"}),
		"malformed IPv6":   one(to6(ip6(a.link, v.link, headerOptions, []byte{headerOptions, 200, 1, 4, 0, 0, 0, 0})), [2]string{"port-ip6", "drop"}),
	}
	return all
}

// honest is what a says by right.
func honest(a, v party) map[string][]byte {
	to6 := func(payload []byte) []byte { return ethernet(v.mac, a.mac, 0x86dd, payload) }
	nd := func(kind byte, source, about []byte, options ...[]byte) []byte {
		return to6(ip6(source, nodes6, protocolICMP6, neighbour6(source, nodes6, kind, about, options...)))
	}
	return map[string][]byte{
		"ARP announcement":            arpReply(a.mac, a.mac, a.ip4),
		"ARP probe":                   arpReply(a.mac, a.mac, []byte{0, 0, 0, 0}),
		"IPv4":                        ethernet(v.mac, a.mac, 0x0800, ip4(a.ip4, v.ip4, protocolUDP, 0, udp(a.ip4, v.ip4, 4000, 4001, "hello"))),
		"IPv4, later fragment":        ethernet(v.mac, a.mac, 0x0800, ip4(a.ip4, v.ip4, protocolUDP, 8, []byte("fragment"))),
		"IPv6":                        to6(ip6(a.ip6, v.ip6, protocolUDP, udp(a.ip6, v.ip6, 4000, 4001, "hello"))),
		"IPv6, first fragment":        to6(ip6(a.ip6, v.ip6, headerFragment, fragment6(protocolUDP, 0, moreFragments, udp(a.ip6, v.ip6, 4000, 4001, "")))),
		"IPv6, later fragment":        to6(ip6(a.ip6, v.ip6, headerFragment, fragment6(protocolUDP, 8, 0, []byte("fragment")))),
		"echo request":                to6(ip6(a.ip6, v.ip6, protocolICMP6, icmp6(a.ip6, v.ip6, 128, []byte("echo")))),
		"solicitation":                nd(typeNS, a.ip6, v.ip6, option6(optionSourceMAC, a.mac)),
		"solicitation without option": nd(typeNS, a.link, v.ip6),
		"address detection":           nd(typeNS, none6, a.link, option6(optionNonce, []byte("nonce!"))),
		"advertisement":               nd(typeNA, a.ip6, a.ip6, option6(optionTargetMAC, a.mac)),
		"advertisement of link-local": nd(typeNA, a.link, a.link),
		"router solicitation":         to6(ip6(none6, nodes6, protocolICMP6, icmp6(none6, nodes6, 133, make([]byte, 4)))),
		"listener report":             to6(ip6(none6, nodes6, 0, append([]byte{protocolICMP6, 0, 5, 2, 0, 0, 1, 0}, icmp6(none6, nodes6, 143, make([]byte, 4))...))),
	}
}

// dropRule deletes the rule of a chain of the bridge table that begins like that
// where nft lists it.
func dropRule(t *testing.T, host *netns.Namespace, chain, begins string) {
	t.Helper()
	var out []byte
	netnstest.Do(t, host, func() (err error) {
		out, err = exec.Command("nft", "-a", "list", "chain", "bridge", "patchbay", chain).Output()
		return err
	})
	for line := range strings.Lines(string(out)) {
		text, handle, ok := strings.Cut(strings.TrimSpace(line), " # handle ")
		exact := begins != "drop" || text == "drop"
		if ok && exact && strings.HasPrefix(text, begins) {
			nft(t, host, "delete", "rule", "bridge", "patchbay", chain, "handle", handle)
			return
		}
	}
	t.Fatalf("chain %s has no rule %q:\n%s", chain, begins, out)
}

// A container that makes its frames by itself reaches no neighbour with those
// that it has no right to; and it is the named rules that see to it: without
// them the frames arrive.
func TestHostileContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a, v := s.party(t, "a/0"), s.party(t, "v/0")
	s.mu.Lock()
	s.unwatch() // it would put the rules back
	s.mu.Unlock()
	// Where br_netfilter is on, it checks and changes packets beyond these rules.
	netnstest.Do(t, w.host, func() error {
		return exec.Command("sh", "-c", "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $f ] || echo 0 >$f; done").Run()
	})
	marks := 0
	arrives := func(t *testing.T, x attack) bool {
		t.Helper()
		for _, f := range x.frames {
			if err := a.wire.Send(f); err != nil {
				t.Fatal(err)
			}
		}
		// Frames keep their order: what is not there before the mark was dropped.
		marks++
		mark := ethernet(broadcast, a.mac, 0x0800, ip4(a.ip4, v.ip4, protocolUDP, 0, udp(a.ip4, v.ip4, 1, 1, fmt.Sprintf("mark %d", marks))))
		if err := a.wire.Send(mark); err != nil {
			t.Fatal(err)
		}
		arrived := false
		marked, err := v.wire.Await(func(frame []byte) bool {
			arrived = arrived || x.seen != nil && bytes.Contains(frame, x.seen) || x.seen == nil && bytes.Equal(frame, x.frames[len(x.frames)-1])
			return bytes.Equal(frame, mark)
		}, soon)
		if err != nil || !marked {
			t.Fatalf("an honest frame does not arrive, error %v", err)
		}
		return arrived
	}
	// heal has the bridge learn again where v is.
	heal := func(t *testing.T) {
		t.Helper()
		here := arpReply(v.mac, v.mac, v.ip4)
		if err := v.wire.Send(here); err != nil {
			t.Fatal(err)
		}
		if ok, err := a.wire.Await(func(frame []byte) bool { return bytes.Equal(frame, here) }, soon); err != nil || !ok {
			t.Fatalf("v is not heard, error %v", err)
		}
	}
	for name, frame := range honest(a, v) {
		t.Run("honest/"+name, func(t *testing.T) {
			if !arrives(t, attack{frames: [][]byte{frame}}) {
				t.Error("does not arrive")
			}
		})
	}
	for name, x := range attacks(a, v) {
		t.Run(name, func(t *testing.T) {
			if arrives(t, x) {
				t.Error("arrives")
			}
			for _, r := range x.rules {
				dropRule(t, w.host, r[0], r[1])
			}
			if !arrives(t, x) {
				t.Errorf("does not arrive without the rules %q: the test proves nothing", x.rules)
			}
			if err := s.filter.Ensure(); err != nil {
				t.Fatal(err)
			}
			heal(t)
		})
	}
}
