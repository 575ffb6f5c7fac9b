package resource

import (
	"fmt"
	"net/netip"
)

// routeFaults reports what is wrong with the routes of a network, as far as it
// can be told before the plugin has chosen subnets.
func (c NetworkConfiguration) routeFaults() []error {
	var faults []error
	seen := map[netip.Prefix]bool{}
	for _, r := range c.Routes {
		if err := r.validate(); err != nil {
			faults = append(faults, err)
			continue
		}
		if seen[r.Destination] {
			faults = append(faults, fmt.Errorf("route %v: is given twice, want each destination once", r.Destination))
		}
		seen[r.Destination] = true
		subnet := c.IPv4Subnet
		if r.Destination.Addr().Is6() {
			subnet = c.IPv6Subnet
		}
		if subnet.IsValid() {
			faults = append(faults, r.Within(subnet))
		}
	}
	return faults
}

// validate reports the first fault of form.
func (r Route) validate() error {
	d, g := r.Destination, r.Gateway
	switch {
	case !d.IsValid() || d.Addr().Is4In6():
		return fmt.Errorf("route %v: want a destination like 10.9.0.0/16 or fd09::/48", d)
	case d.Bits() == 0:
		return fmt.Errorf("route %v: is the default route; it goes by the network's gateway, of several networks by that of the highest gateway-priority", d)
	case d != d.Masked():
		return fmt.Errorf("route %v: has host bits set, want %v", d, d.Masked())
	case d.Addr().IsMulticast(), d.Addr().IsLoopback(), d.Addr().IsLinkLocalUnicast():
		return fmt.Errorf("route %v: want a destination of unicast addresses that are valid beyond one link", d)
	case g.IsValid() && (g.Is4() != d.Addr().Is4() || g.Is4In6()):
		return fmt.Errorf("route %v: gateway %v is of another address family", d, g)
	case g.Zone() != "":
		return fmt.Errorf("route %v: gateway %v: want an address without a zone", d, g)
	}
	return nil
}

// Within reports whether a route makes sense on a network with that subnet of
// its family; the zero prefix is none.
func (r Route) Within(subnet netip.Prefix) error {
	switch d, g := r.Destination, r.Gateway; {
	case !subnet.IsValid():
		return fmt.Errorf("route %v: the network has no subnet of that address family", d)
	case g.IsValid() && (!subnet.Contains(g) || g == subnet.Addr() && !subnet.IsSingleIP()):
		return fmt.Errorf("route %v: gateway %v: want an address of the network's subnet %v", d, g, subnet)
	case subnet.Contains(d.Addr()) && d.Bits() >= subnet.Bits():
		return fmt.Errorf("route %v: is in the network's subnet %v, which needs no route", d, subnet)
	}
	return nil
}
