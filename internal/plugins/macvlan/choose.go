package macvlan

import (
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/hostinterface"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/networkplugin"
)

// optionParent is the option of the host interface; default: that of the default route.
const optionParent = "parent"

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
	medium := hostinterface.Medium{Role: "parent", Name: parent.Name, MTU: parent.MTU}
	if err := medium.Complete(&r, c); err != nil {
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
