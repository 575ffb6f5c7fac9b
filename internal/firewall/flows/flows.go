// Package flows makes the kernel forget flows that it tracks (conntrack).
package flows

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Forget removes the flows of datagrams (UDP) to addresses and ports of the host; an
// unspecified address stands for all of its family.
func Forget(handle *netlink.Handle, hosts []netip.AddrPort) error {
	filters := map[netlink.InetFamily]filter{}
	for _, h := range hosts {
		family := netlink.InetFamily(unix.AF_INET6)
		if h.Addr().Is4() {
			family = unix.AF_INET
		}
		if filters[family] == nil {
			filters[family] = filter{}
		}
		filters[family][h.Port()] = append(filters[family][h.Port()], h.Addr())
	}
	for family, filter := range filters {
		if _, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter); err != nil {
			return err
		}
	}
	return nil
}

// filter matches flows to addresses of the host, by port.
type filter map[uint16][]netip.Addr

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (m filter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	address, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	for _, host := range m[flow.Forward.DstPort] {
		if host.IsUnspecified() || host == address.Unmap() {
			return true
		}
	}
	return false
}
