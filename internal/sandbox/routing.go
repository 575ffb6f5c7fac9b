package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// linkLocal is where IPv6 addresses that are valid on one link are (RFC 4291
// section 2.5.6).
var linkLocal = netip.MustParsePrefix("fe80::/64")

// route gives the interfaces the routes that their attachments ask for, each
// attachment at the place of its interface. Two interfaces with one address are
// errdefs.ErrAlreadyExists: no rule could tell them apart.
//
// In the main table a destination, that of the default route too, belongs to the
// attachment with the highest gateway priority among those that lead to it; of
// equal ones to the first. Where several interfaces have addresses of a family,
// each of them has a table of its own too, so that answers leave where the
// questions came in.
func route(interfaces []Interface, attachments []resource.Attachment) error {
	if err := oneOwnerEach(interfaces, attachments); err != nil {
		return err
	}
	owners := destinationOwners(interfaces, attachments)
	var addressed [2]int // interfaces with addresses of IPv4 and IPv6
	for _, i := range interfaces {
		for family, yes := range i.families() {
			if yes {
				addressed[family]++
			}
		}
	}
	for place := range interfaces {
		i, routes := &interfaces[place], wantedRoutes(attachments[place])
		for _, r := range routes {
			if owners[r.Destination] == place {
				i.Routes = append(i.Routes, r)
			}
		}
		for family, yes := range i.families() {
			if yes && addressed[family] > 1 {
				i.OwnRoutes = append(i.OwnRoutes, ownRoutes(i.Addresses, routes, family)...)
			}
		}
	}
	return nil
}

// The indices of families.
const (
	ipv4 = iota
	ipv6
)

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// families says of which families the interface has addresses.
func (i Interface) families() (has [2]bool) {
	for _, a := range i.Addresses {
		has[familyOf(a.Addr())] = true
	}
	return has
}

// wantedRoutes are those of the network, then the default route of each family
// by the network's gateway; each destination once, the first time.
func wantedRoutes(a resource.Attachment) []resource.Route {
	routes := make([]resource.Route, 0, len(a.Routes)+2)
	add := func(r resource.Route) {
		known := func(o resource.Route) bool { return o.Destination == r.Destination }
		if !slices.ContainsFunc(routes, known) {
			routes = append(routes, r)
		}
	}
	for _, r := range a.Routes {
		add(resource.Route{Destination: r.Destination.Masked(), Gateway: r.Gateway})
	}
	if a.IPv4Gateway.IsValid() {
		add(resource.Route{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: a.IPv4Gateway})
	}
	if a.IPv6Gateway.IsValid() {
		add(resource.Route{Destination: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Gateway: a.IPv6Gateway})
	}
	return routes
}

// subnetOf is the subnet that the kernel has a route to because of an address;
// of an address alone there is none.
func subnetOf(a netip.Prefix) (netip.Prefix, bool) { return a.Masked(), !a.IsSingleIP() }

// destinationOwners returns the place of the interface that leads to each
// destination in the main table. Those of subnets are the kernel's own: -1.
func destinationOwners(interfaces []Interface, attachments []resource.Attachment) map[netip.Prefix]int {
	owners := map[netip.Prefix]int{}
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			if subnet, ok := subnetOf(a); ok {
				owners[subnet] = -1
			}
		}
	}
	for place, a := range attachments {
		for _, r := range wantedRoutes(a) {
			owner, claimed := owners[r.Destination]
			if !claimed || owner >= 0 && a.GatewayPriority > attachments[owner].GatewayPriority {
				owners[r.Destination] = place
			}
		}
	}
	return owners
}

// ownRoutes are the routes of an interface's own table that are of a family:
// its subnets, the link-local one too, and all that its attachment asks for.
func ownRoutes(addresses []netip.Prefix, wanted []resource.Route, family int) []resource.Route {
	var routes []resource.Route
	if family == ipv6 {
		routes = append(routes, resource.Route{Destination: linkLocal})
	}
	near := map[netip.Prefix]bool{}
	for _, a := range addresses {
		subnet, ok := subnetOf(a)
		if ok && familyOf(a.Addr()) == family && !near[subnet] {
			routes = append(routes, resource.Route{Destination: subnet})
		}
		near[subnet] = true
	}
	for _, r := range wanted {
		if familyOf(r.Destination.Addr()) == family && !near[r.Destination] {
			routes = append(routes, r)
		}
	}
	return routes
}

func oneOwnerEach(interfaces []Interface, attachments []resource.Attachment) error {
	owners := map[netip.Addr]int{}
	var faults []error
	for place, i := range interfaces {
		for _, a := range i.Addresses {
			if first, taken := owners[a.Addr()]; taken {
				faults = append(faults, fmt.Errorf("network %s: %w: address %v is already that of interface %s on network %s; ask for another one or renumber one of the networks",
					attachments[place].Network, errdefs.ErrAlreadyExists, a.Addr(), interfaces[first].Name, attachments[first].Network))
				continue
			}
			owners[a.Addr()] = place
		}
	}
	return errors.Join(faults...)
}
