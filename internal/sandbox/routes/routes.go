// Package routes says which routes an attachment to a network comes with, and whose
// come first.
package routes

import (
	"cmp"
	"net/netip"
	"slices"

	"patchbay.dev/patchbay/resource"
)

// linkLocal is where IPv6 addresses that are valid on one link are (RFC 4291
// section 2.5.6).
var linkLocal = netip.MustParsePrefix("fe80::/64")

// The indices of families.
const (
	IPv4 = iota
	IPv6
)

// Family is the index of the family of an address.
func Family(a netip.Addr) int {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Wanted are those of the network, then the default route of each family
// by the network's gateway; each destination once, the first time.
func Wanted(a resource.Attachment) []resource.Route {
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

// Subnet is the subnet that the kernel has a route to because of an address;
// of an address alone there is none.
func Subnet(a netip.Prefix) (netip.Prefix, bool) { return a.Masked(), !a.IsSingleIP() }

// Own are the routes of an interface's own table that are of a family:
// its subnets, the link-local one too, and all that its attachment asks for.
func Own(addresses []netip.Prefix, wanted []resource.Route, family int) []resource.Route {
	var routes []resource.Route
	if family == IPv6 {
		routes = append(routes, resource.Route{Destination: linkLocal})
	}
	near := map[netip.Prefix]bool{}
	for _, a := range addresses {
		subnet, ok := Subnet(a)
		if ok && Family(a.Addr()) == family && !near[subnet] {
			routes = append(routes, resource.Route{Destination: subnet})
		}
		near[subnet] = true
	}
	for _, r := range wanted {
		if Family(r.Destination.Addr()) == family && !near[r.Destination] {
			routes = append(routes, r)
		}
	}
	return routes
}

// ByPriority are the attachments in the order of their default routes, the one that
// is taken first: in that order their networks are asked for names, too.
func ByPriority(allocated []resource.AllocatedAttachment) []resource.AllocatedAttachment {
	return slices.SortedStableFunc(slices.Values(allocated), func(a, b resource.AllocatedAttachment) int {
		return cmp.Compare(b.Attachment.GatewayPriority, a.Attachment.GatewayPriority)
	})
}
