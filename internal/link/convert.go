package link

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

func describe(l netlink.Link) Interface {
	a := l.Attrs()
	kind := l.Type()
	if kind == "device" {
		kind = ""
	}
	return Interface{
		Name:         a.Name,
		Index:        a.Index,
		Kind:         kind,
		MAC:          resource.MACAddress(a.HardwareAddr.String()),
		PermanentMAC: resource.MACAddress(a.PermHWAddr.String()),
		MTU:          a.MTU,
		Up:           a.Flags&net.FlagUp != 0,
		Running:      a.RawFlags&unix.IFF_RUNNING != 0,
		Loopback:     a.Flags&net.FlagLoopback != 0,
		Alias:        a.Alias,
		MasterIndex:  a.MasterIndex,
		ParentIndex:  a.ParentIndex,
	}
}

// prefixOf returns n as a prefix that keeps its host bits, zero if it is none.
func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	address, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}
	}
	if size == 32 {
		address = address.Unmap()
	}
	return netip.PrefixFrom(address, bits)
}

// routesOf returns one route for each next hop.
func routesOf(r netlink.Route, family int, names naming) []HostRoute {
	destination := prefixOf(r.Dst)
	if !destination.IsValid() {
		any := netip.IPv4Unspecified()
		if family == netlink.FAMILY_V6 {
			any = netip.IPv6Unspecified()
		}
		destination = netip.PrefixFrom(any, 0)
	}
	hop := func(index int, gw net.IP) HostRoute {
		gateway, _ := netip.AddrFromSlice(gw)
		return HostRoute{Interface: names(index), Destination: destination, Gateway: gateway.Unmap()}
	}
	if len(r.MultiPath) == 0 {
		return []HostRoute{hop(r.LinkIndex, r.Gw)}
	}
	var all []HostRoute
	for _, n := range r.MultiPath {
		all = append(all, hop(n.LinkIndex, n.Gw))
	}
	return all
}
