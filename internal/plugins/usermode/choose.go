package usermode

import (
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// optionHostAccess says what containers reach of the host itself.
const optionHostAccess = "host-access"

// hostAccess is a value of optionHostAccess.
type hostAccess string

const (
	hostNone    hostAccess = "none"
	hostGateway hostAccess = "gateway" // its loopback address, under the gateway's
	hostAll     hostAccess = "all"     // and all of its other addresses
)

func hostAccessOf(c networkplugin.Configuration) (hostAccess, error) {
	value, given := c.Options[optionHostAccess]
	switch access := hostAccess(value); {
	case !given, access == hostNone:
		return hostNone, nil
	case access != hostGateway && access != hostAll:
		return hostNone, fmt.Errorf("option %s=%q: want none, gateway or all: %w", optionHostAccess, value, errdefs.ErrInvalidArgument)
	case c.Variant == VariantInternal:
		return hostNone, fmt.Errorf("option %s=%q: an internal network has no gateway, want none: %w", optionHostAccess, value, errdefs.ErrInvalidArgument)
	default:
		return access, nil
	}
}

// defaultMTU is nearly the longest that there is. What containers send ends in the
// router, so the MTU of the host's interfaces does not count, and a long frame costs
// little more than a short one.
const defaultMTU = 65520

// choose returns the subnets, given or chosen, and the router's addresses.
func (n *Network) choose(links *link.Handle, c networkplugin.Configuration) (networkplugin.Realization, error) {
	if !sysctl.HasIPv6() {
		if c.IPv6Subnet.IsValid() || c.IPv4Disabled {
			return networkplugin.Realization{}, fmt.Errorf("ipv6: the kernel has none: %w", errdefs.ErrFailedPrecondition)
		}
		c.IPv6Disabled = true
	}
	// What the host uses there would be hidden from the containers.
	host, err := links.Survey("")
	if err != nil {
		return networkplugin.Realization{}, err
	}
	var r networkplugin.Realization
	r.IPv4Subnet, r.IPv6Subnet, err = networkplugin.ChooseSubnets(c, host.Prefixes)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	if n.router {
		r.IPv4Gateway, r.IPv6Gateway = firstAddress(r.IPv4Subnet), firstAddress(r.IPv6Subnet)
	}
	r.MTU, err = mtuOf(c.MTU, r.IPv6Subnet.IsValid())
	return r, err
}

// firstAddress is the first address that a host can have: the subnet's own
// belongs to no host but where there are only two (RFC 3021, RFC 6164). Without a
// subnet there is none.
func firstAddress(p netip.Prefix) netip.Addr {
	if !p.IsValid() || p.Addr().BitLen()-p.Bits() <= 1 {
		return p.Masked().Addr()
	}
	return p.Masked().Addr().Next()
}

func mtuOf(given int, v6 bool) (int, error) {
	least := resource.MinMTU
	if v6 {
		least = resource.MinMTUIPv6
	}
	if given == 0 {
		return defaultMTU, nil
	}
	if given < least || given > resource.MaxMTU {
		return 0, fmt.Errorf("mtu %d: want %d to %d: %w", given, least, resource.MaxMTU, errdefs.ErrInvalidArgument)
	}
	return given, nil
}
