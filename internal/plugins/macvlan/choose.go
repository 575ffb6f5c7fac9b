package macvlan

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The options of a network.
const (
	optionParent   = "parent"     // host interface; default: that of the default route
	optionGateway4 = "gateway"    // router of the LAN; default: none
	optionGateway6 = "gateway-v6" // the same for IPv6
)

// findParent returns the interface that containers are put on.
func findParent(links *link.Handle, given string) (inspect.Interface, error) {
	if given == "" {
		parent, err := links.DefaultRouteInterface()
		if errdefs.IsNotFound(err) {
			return inspect.Interface{}, fmt.Errorf(
				"option parent: the host has no default route to take the interface from; give one, like parent=eth0: %w", errdefs.ErrFailedPrecondition)
		}
		if err != nil {
			return inspect.Interface{}, err
		}
		return parent, fit(parent)
	}
	parent, err := links.Interface(given)
	if err != nil {
		return inspect.Interface{}, fmt.Errorf("option parent=%s: %w", given, err)
	}
	return parent, fit(parent)
}

// fit refuses interfaces that the kernel makes no macvlan on, or none that
// would work.
func fit(parent inspect.Interface) error {
	why := ""
	switch {
	case parent.Loopback:
		why = "is the loopback interface; give one that is on a LAN"
	case parent.Kind == "macvlan" || parent.Kind == "macvtap" || parent.Kind == "ipvlan":
		why = "is itself a " + parent.Kind + "; give its parent"
	case parent.MasterIndex != 0:
		why = "is a port of a bridge or bond; give that instead"
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("option parent=%s: the interface %s: %w", parent.Name, why, errdefs.ErrInvalidArgument)
}

// choose returns the subnets, given or chosen, and what goes with them. A given
// subnet may be the one that the host has on the parent: the LAN's own.
func choose(links *link.Handle, parent inspect.Interface, c networkplugin.Configuration) (networkplugin.Realization, error) {
	var r networkplugin.Realization
	uses, err := links.Uses("")
	if err != nil {
		return r, err
	}
	r.IPv4Subnet, r.IPv6Subnet, err = networkplugin.ChooseSubnets(c, occupied(parent.Name, uses, c))
	if err != nil {
		return networkplugin.Realization{}, err
	}
	var mtuErr, err4, err6 error
	r.MTU, mtuErr = mtuOf(parent, c.MTU, r.IPv6Subnet.IsValid())
	r.IPv4Gateway, err4 = gatewayOf(c.Options, optionGateway4, r.IPv4Subnet)
	r.IPv6Gateway, err6 = gatewayOf(c.Options, optionGateway6, r.IPv6Subnet)
	if err := errors.Join(mtuErr, err4, err6); err != nil {
		return networkplugin.Realization{}, err
	}
	r.Reserved = reserved(uses, r)
	return r, nil
}

// occupied are the prefixes that the host uses elsewhere and, for a subnet that
// is to be chosen, on the parent too.
func occupied(parent string, uses []inspect.Use, c networkplugin.Configuration) []netip.Prefix {
	var all []netip.Prefix
	for _, u := range uses {
		given := c.IPv6Subnet.IsValid()
		if u.Prefix.Addr().Is4() {
			given = c.IPv4Subnet.IsValid()
		}
		if u.Interface != parent || !given {
			all = append(all, u.Prefix)
		}
	}
	return all
}

// reserved are the host's own addresses in the network's subnets.
func reserved(uses []inspect.Use, r networkplugin.Realization) []netip.Addr {
	var all []netip.Addr
	for _, u := range uses {
		a := u.Address
		if a.IsValid() && a != r.IPv4Gateway && a != r.IPv6Gateway && (r.IPv4Subnet.Contains(a) || r.IPv6Subnet.Contains(a)) {
			all = append(all, a)
		}
	}
	return all
}

// gatewayOf reads a gateway option. There is no default: a route to a router
// that does not exist is worse than none.
func gatewayOf(options map[string]string, option string, subnet netip.Prefix) (netip.Addr, error) {
	text, given := options[option]
	if !given {
		return netip.Addr{}, nil
	}
	gateway, err := netip.ParseAddr(text)
	if err != nil || gateway.Zone() != "" || !subnet.Contains(gateway) {
		return netip.Addr{}, fmt.Errorf("option %s=%q: want an address in the subnet %v: %w", option, text, subnet, errdefs.ErrInvalidArgument)
	}
	return gateway, nil
}

// mtuOf returns the given MTU, which may not be more than the parent's, or
// the parent's.
func mtuOf(parent inspect.Interface, given int, v6 bool) (int, error) {
	least, most := resource.MinMTU, min(parent.MTU, resource.MaxMTU)
	if v6 {
		least = resource.MinMTUIPv6
	}
	switch {
	case most < least:
		return 0, fmt.Errorf("parent %s: has mtu %d, want at least %d: %w", parent.Name, parent.MTU, least, errdefs.ErrFailedPrecondition)
	case given == 0:
		return most, nil
	case given < least || given > most:
		return 0, fmt.Errorf("mtu %d: want %d to %d, the mtu of parent %s: %w", given, least, most, parent.Name, errdefs.ErrInvalidArgument)
	}
	return given, nil
}
