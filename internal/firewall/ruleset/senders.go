package ruleset

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// priorityBridgeFilter is NF_BR_PRI_FILTER_BRIDGED, before br_netfilter.
const priorityBridgeFilter = -200

// UDP ports of DHCP (RFC 2131) and DHCPv6 (RFC 8415).
const (
	dhcp4Server = 67
	dhcp4Client = 68
	dhcp6Client = 546
	dhcp6Server = 547
)

// Lengths in bytes of a neighbour solicitation or advertisement without options
// and with one of 8 bytes (RFC 4861, sections 4.3 and 4.4).
const (
	neighbourBare   = 24
	neighbourOption = neighbourBare + 8
)

// senders builds the rules about who may send what by a port.
type senders struct {
	Table
	ports, sources4, sources6 *nftables.Set
}

// bridgeTable lets a port send nothing but frames with the MAC and IP addresses
// that belong to it, and nothing by which a host passes itself off as a router
// or as a DHCP server. It runs before the bridge learns addresses.
func bridgeTable() Table {
	var s senders
	s.Table.Table = &nftables.Table{Family: nftables.TableFamilyBridge, Name: Name}
	s.ports = s.set(SetPorts, false, nftables.TypeIFName, nftables.TypeEtherAddr)
	s.sources4 = s.set(SetSources4, false, nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIPAddr)
	s.sources6 = s.set(SetSources6, false, nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIP6Addr)
	s.addARP()
	s.addIP4()
	s.addIP6()
	s.addICMP6()
	s.chain(sub("port"),
		// IPv4 leaves by port-source4 alone, which looks at the MAC address too.
		rule(equal(etherType, []byte{0x08, 0x00}), goTo("port-ip4")),
		rule(sender(etherSource), notIn(s.ports), drop),
		rule(equal(etherType, []byte{0x08, 0x06}), goTo("port-arp")),
		rule(equal(etherType, []byte{0x86, 0xdd}), goTo("port-ip6")),
		rule(drop))
	s.chain(hook("prerouting", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRef(priorityBridgeFilter)),
		rule(prefixed(PortPrefix), goTo("port")))
	return s.Table
}

// sender loads port . MAC address, from there in the frame.
func sender(mac field) part { return append(iifname(firstField), load(mac, afterName)...) }

// source loads port . MAC address . IP address.
func source(mac, ip field) part { return append(sender(mac), load(ip, afterNameMAC)...) }

// addARP checks both addresses that an ARP message says are its sender's.
func (s *senders) addARP() {
	s.chain(sub("port-arp"),
		rule(unequal(arpForm, []byte{0, 1, 0x08, 0x00, 6, 4}), drop), // not IPv4 over Ethernet
		rule(source(arpMAC, arpIP), in(s.sources4), accept),
		rule(equal(arpIP, make([]byte, 4)), sender(arpMAC), in(s.ports), accept), // probe, RFC 5227
		rule(drop))
}

// addIP4 checks IPv4 packets. A later fragment has no header of the protocol
// above to look at, and is nothing without the first one. TCP comes first, as most
// packets do: nothing but its source matters.
func (s *senders) addIP4() {
	s.chain(sub("port-source4"), rule(source(etherSource, ip4Source), in(s.sources4), accept), rule(drop))
	s.chain(sub("port-ip4"),
		rule(l4proto(unix.IPPROTO_TCP), goTo("port-source4")),
		rule(load(ip4Fragment, firstField), anyBit([]byte{0x1f, 0xff}), goTo("port-source4")),
		rule(l4proto(unix.IPPROTO_UDP), equal(sourcePort, Number(dhcp4Server)), drop),
		rule(l4proto(unix.IPPROTO_UDP), equal(targetPort, Number(dhcp4Client)), drop),
		rule(icmp(unix.IPPROTO_ICMP, redirect4), drop),
		rule(anyL4proto(), goTo("port-source4")),
		rule(drop)) // malformed
}

// addIP6 checks IPv6 packets. One that hides the header of the protocol above
// behind extension headers in a later fragment is dropped (RFC 7112).
func (s *senders) addIP6() {
	s.chain(sub("port-source6"),
		rule(source(etherSource, ip6Source), in(s.sources6), accept),
		rule(equal(ip6Source, unspecified6), l4proto(unix.IPPROTO_ICMPV6), accept), // RFC 4862, RFC 3590
		rule(drop))
	s.chain(sub("port-ip6"),
		rule(fragmentOffset6(firstField), anyBit([]byte{0xff, 0xf8}), goTo("port-source6")),
		rule(l4proto(unix.IPPROTO_ICMPV6), goTo("port-icmp6")),
		rule(l4proto(unix.IPPROTO_UDP), unequal(sourcePort, Number(dhcp6Server)), unequal(targetPort, Number(dhcp6Client)), goTo("port-source6")),
		rule(l4proto(unix.IPPROTO_UDP), drop),
		rule(anyL4proto(), goTo("port-source6")),
		rule(drop)) // malformed
}

// addICMP6 checks ICMPv6. Neighbour discovery has no extension headers, so it
// comes in one piece (RFC 6980), and at most one option: a link-layer address,
// which must be the port's, or the nonce of duplicate address detection (RFC
// 7527). Options behind the first one could not be seen.
func (s *senders) addICMP6() {
	owner := source(etherSource, ndTarget)
	option := func(kind byte) []expr.Any {
		return rule(equal(ip6Length, Number(neighbourOption)), equal(ndOption, []byte{kind, 1}))
	}
	s.chain(sub("port-neighbour"),
		rule(unequal(ip6Next, []byte{unix.IPPROTO_ICMPV6}), drop),
		rule(unequal(ip6Source, unspecified6), source(etherSource, ip6Source), notIn(s.sources6), drop),
		rule(equal(ip6Source, unspecified6), owner, notIn(s.sources6), drop),
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourAdvertisement), owner, notIn(s.sources6), drop),
		rule(equal(ip6Length, Number(neighbourBare)), accept),
		rule(option(optionSource), sender(ndOptionMAC), in(s.ports), accept),
		rule(option(optionTarget), sender(ndOptionMAC), in(s.ports), accept),
		rule(option(optionNonce), accept),
		rule(drop))
	// Bridges flood multicast frames, whoever listens to what: reports of listeners
	// (RFC 2710, RFC 3810), four for each interface that comes, would but wake all
	// containers of the network.
	s.chain(sub("port-icmp6"),
		rule(icmp(unix.IPPROTO_ICMPV6, listenerReport), drop),
		rule(icmp(unix.IPPROTO_ICMPV6, listenerDone), drop),
		rule(icmp(unix.IPPROTO_ICMPV6, listenerReport2), drop),
		rule(icmp(unix.IPPROTO_ICMPV6, routerAdvertisement), drop),
		rule(icmp(unix.IPPROTO_ICMPV6, redirect6), drop),
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourSolicitation), goTo("port-neighbour")),
		rule(icmp(unix.IPPROTO_ICMPV6, neighbourAdvertisement), goTo("port-neighbour")),
		rule(load(icmpType, firstField), anyValue(1), goTo("port-source6")),
		rule(drop)) // its type is in another fragment
}
