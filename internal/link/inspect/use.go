package inspect

import (
	"fmt"
	"net/netip"
	"slices"
)

// Use is a prefix that the host uses, by an address of it or a route to it.
type Use struct {
	Interface string
	Prefix    netip.Prefix
	Address   netip.Addr // zero: by a route
}

// String reads like "address 10.0.0.5/24 of eth0".
func (u Use) String() string {
	if u.Address.IsValid() {
		return fmt.Sprintf("address %v of %s", netip.PrefixFrom(u.Address, u.Prefix.Bits()), u.Interface)
	}
	return fmt.Sprintf("route %v by %s", u.Prefix, u.Interface)
}

// Uses returns what the host uses by addresses and by routes of the main table,
// except on one interface. Default routes, link-local addresses and multicast
// are in nobody's way. A route that comes with an address is not told beside it.
func (r *Reader) Uses(except string) ([]Use, error) {
	names, err := r.names()
	if err != nil {
		return nil, err
	}
	return r.uses(except, names)
}

func (r *Reader) uses(except string, names naming) ([]Use, error) {
	addresses, err := r.addresses(names)
	if err != nil {
		return nil, err
	}
	var all []Use
	for _, a := range addresses {
		if a.Interface != except && !a.Prefix.Addr().IsLinkLocalUnicast() {
			all = append(all, Use{Interface: a.Interface, Prefix: a.Prefix.Masked(), Address: a.Prefix.Addr()})
		}
	}
	routes, err := r.routes(names)
	if err != nil {
		return nil, err
	}
	told := len(all)
	for _, r := range routes {
		local := r.Destination.Addr().IsLinkLocalUnicast() || r.Destination.Addr().IsMulticast()
		ofAddress := slices.ContainsFunc(all[:told], func(u Use) bool { return u.Interface == r.Interface && u.Prefix == r.Destination })
		if r.Interface != except && !r.Default() && !local && !ofAddress {
			all = append(all, Use{Interface: r.Interface, Prefix: r.Destination})
		}
	}
	return all, nil
}
