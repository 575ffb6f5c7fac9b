package inspect

import (
	"fmt"
	"net/netip"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Address is one address of an interface.
type Address struct {
	Interface string
	Prefix    netip.Prefix // the address with the length of its subnet
}

// Addresses returns the addresses of all interfaces, both families.
func (r *Reader) Addresses() ([]Address, error) {
	names, err := r.names()
	if err != nil {
		return nil, err
	}
	return r.addresses(names)
}

// AddressesOn returns the prefixes of the addresses of one interface.
func (r *Reader) AddressesOn(index int) ([]netip.Prefix, error) {
	all, err := retried(func() ([]rtnl.Listed, error) { return r.raw.Addresses(index) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of interface %d: %w", index, err)
	}
	out := make([]netip.Prefix, len(all))
	for i, a := range all {
		out[i] = a.Prefix
	}
	return out, nil
}

func (r *Reader) addresses(names naming) ([]Address, error) {
	list, err := r.allAddresses()
	if err != nil {
		return nil, err
	}
	all := make([]Address, len(list))
	for i, a := range list {
		all[i] = Address{Interface: names(a.Index), Prefix: a.Prefix}
	}
	return all, nil
}

// HostRoute is one route of the main table.
type HostRoute struct {
	Interface   string
	Destination netip.Prefix
	Gateway     netip.Addr // zero: on link
}

// Default reports whether the route leads everywhere.
func (r HostRoute) Default() bool { return r.Destination.Bits() == 0 }

// Routes returns the unicast routes of the main table, both families, in
// the order of preference of the kernel's listing.
func (r *Reader) Routes() ([]HostRoute, error) {
	names, err := r.names()
	if err != nil {
		return nil, err
	}
	return r.routes(names)
}

func (r *Reader) routes(names naming) ([]HostRoute, error) {
	list, err := r.mainRoutes()
	if err != nil {
		return nil, err
	}
	all := make([]HostRoute, len(list))
	for i, l := range list {
		all[i] = HostRoute{Interface: names(l.Index), Destination: l.Prefix, Gateway: l.Gateway}
	}
	return all, nil
}
