package inspect

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

// destinationOf is that of a route; the default route has none.
func destinationOf(r netlink.Route, family int) netip.Prefix {
	if p := prefixOf(r.Dst); p.IsValid() {
		return p
	}
	if family == netlink.FAMILY_V6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}
