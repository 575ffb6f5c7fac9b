package firewall

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// forgetFlows makes the kernel decide anew where the datagrams of a forwarded port
// go: for as long as a client keeps sending, it would go on as before the port
// was published, or to the container that had it before. TCP needs none of
// that: each connection is decided by itself.
func (n *Network) forgetFlows(changed []Forward) error {
	filters := map[netlink.InetFamily]flowFilter{}
	for _, f := range changed {
		if f.Protocol != resource.ProtocolUDP {
			continue
		}
		family := netlink.InetFamily(unix.AF_INET6)
		if f.Host.Addr().Is4() {
			family = unix.AF_INET
		}
		if filters[family] == nil {
			filters[family] = flowFilter{}
		}
		filters[family][f.Host.Port()] = append(filters[family][f.Host.Port()], f)
	}
	if len(filters) == 0 {
		return nil
	}
	err := n.kernel.Flows(func(handle *netlink.Handle) error {
		for family, filter := range filters {
			if _, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, unix.EINVAL) || unsupportedFamily(err) {
		n.config.Log.Warn("flows of published udp ports go on as before", "missing", "module nf_conntrack_netlink", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("conntrack: forget flows of published ports: %w", kindOf(err))
	}
	return nil
}

// flowFilter matches flows to the host's side of forwards, by host port.
type flowFilter map[uint16][]Forward

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (m flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	address, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	for _, f := range m[flow.Forward.DstPort] {
		if host := f.Host.Addr(); host.IsUnspecified() || host == address.Unmap() {
			return true
		}
	}
	return false
}
