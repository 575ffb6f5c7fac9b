package hostinterface

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The options of the router beyond the interface.
const (
	OptionGateway4 = "gateway"    // default: none
	OptionGateway6 = "gateway-v6" // the same for IPv6
)

// Medium is the interface that the packets of a network go by.
type Medium struct {
	Role string // what messages call it: "parent", "device"
	Name string
	MTU  int
}

// Complete gives a network that has its subnets the gateways and the MTU that are
// configured; it reports every fault at once (ErrInvalidArgument). There is no default
// for a gateway: a route to a router that does not exist is worse than none. That for
// the MTU is the medium's, which is the most, too; one that has less than a network needs
// is ErrFailedPrecondition.
func (m Medium) Complete(r *networkplugin.Realization, c networkplugin.Configuration) error {
	var mtuErr, err4, err6 error
	r.MTU, mtuErr = m.mtu(c.MTU, r.IPv6Subnet.IsValid())
	r.IPv4Gateway, err4 = gatewayOf(c.Options, OptionGateway4, r.IPv4Subnet)
	r.IPv6Gateway, err6 = gatewayOf(c.Options, OptionGateway6, r.IPv6Subnet)
	return errors.Join(mtuErr, err4, err6)
}

func gatewayOf(options map[string]string, option string, subnet netip.Prefix) (netip.Addr, error) {
	text, given := options[option]
	if !given {
		return netip.Addr{}, nil
	}
	if !subnet.IsValid() {
		return netip.Addr{}, fmt.Errorf("option %s=%q: the network has no subnet of that family, give one: %w", option, text, errdefs.ErrInvalidArgument)
	}
	gateway, err := netip.ParseAddr(text)
	if err != nil || gateway.Zone() != "" || !subnet.Contains(gateway) {
		return netip.Addr{}, fmt.Errorf("option %s=%q: want an address in the subnet %v: %w", option, text, subnet, errdefs.ErrInvalidArgument)
	}
	return gateway, nil
}

func (m Medium) mtu(given int, v6 bool) (int, error) {
	least, most := resource.MinMTU, min(m.MTU, resource.MaxMTU)
	if v6 {
		least = resource.MinMTUIPv6
	}
	switch {
	case most < least:
		return 0, fmt.Errorf("%s %s: has mtu %d, want at least %d: %w", m.Role, m.Name, m.MTU, least, errdefs.ErrFailedPrecondition)
	case given == 0:
		return most, nil
	case given < least || given > most:
		return 0, fmt.Errorf("mtu %d: want %d to %d, the mtu of %s %s: %w", given, least, most, m.Role, m.Name, errdefs.ErrInvalidArgument)
	}
	return given, nil
}
