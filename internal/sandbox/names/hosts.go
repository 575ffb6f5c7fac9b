package names

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/routes"
	"patchbay.dev/patchbay/resource"
)

// HostEntry is a line of /etc/hosts.
type HostEntry struct {
	Address netip.Addr
	Names   []string
}

// CheckHosts refuses names for the host where it is the gateway of no network.
func CheckHosts(extra []resource.ExtraHost, allocated []resource.AllocatedAttachment) error {
	if len(hostGateways(allocated)) > 0 {
		return nil
	}
	var faults []error
	for _, h := range extra {
		if !h.Address.IsValid() {
			faults = append(faults, fmt.Errorf("extra host %s: the host is the gateway of none of the container's networks: want an address in place of %s: %w",
				h.Name, resource.HostGateway, errdefs.ErrFailedPrecondition))
		}
	}
	return errors.Join(faults...)
}

// HostEntries returns the lines of /etc/hosts for what the user named. Those for
// the host have the gateways of the first network whose gateway it is. While it is
// that of none there are none for it.
func HostEntries(extra []resource.ExtraHost, allocated []resource.AllocatedAttachment) []HostEntry {
	var out []HostEntry
	for _, h := range extra {
		addresses := []netip.Addr{h.Address}
		if !h.Address.IsValid() {
			addresses = hostGateways(allocated)
		}
		for _, a := range addresses {
			out = append(out, HostEntry{Address: a, Names: []string{h.Name}})
		}
	}
	return out
}

// hostGateways are the gateways of the first network that the host makes itself:
// on a LAN the gateway is somebody else.
func hostGateways(allocated []resource.AllocatedAttachment) []netip.Addr {
	for _, a := range routes.ByPriority(allocated) {
		var out []netip.Addr
		for _, g := range []netip.Addr{a.Attachment.IPv4Gateway, a.Attachment.IPv6Gateway} {
			if g.IsValid() && (a.Strategy == resource.StrategyBridgePort || a.Strategy == resource.StrategyTapStream) {
				out = append(out, g)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}
