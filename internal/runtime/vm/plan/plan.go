// Package plan carries what is planned and asked of the guest's network between the
// runtime helper and the agent in the guest.
package plan

import (
	"errors"
	"net/netip"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// ToProto converts a plan. The kind of its link and its rates are the host's
// business and are not carried.
func ToProto(i wiring.Interface) *guestv1.Interface {
	out := &guestv1.Interface{
		Name: i.Name, MacAddress: string(i.MAC), Mtu: uint32(i.MTU), Sysctls: i.Sysctls,
		Routes: wire.RoutesToProto(i.Routes), OwnRoutes: wire.RoutesToProto(i.OwnRoutes),
	}
	for _, a := range i.Addresses {
		out.Addresses = append(out.Addresses, a.String())
	}
	return out
}

// FromProto converts a plan; what cannot be read is errdefs.ErrInvalidArgument.
func FromProto(i *guestv1.Interface) (wiring.Interface, error) {
	out := wiring.Interface{
		Name: i.GetName(), MAC: resource.MACAddress(i.GetMacAddress()), MTU: int(i.GetMtu()), Sysctls: i.GetSysctls(),
	}
	var faults []error
	for _, address := range i.GetAddresses() {
		var a netip.Prefix
		faults = append(faults, parse("address", address, &a, netip.ParsePrefix))
		out.Addresses = append(out.Addresses, a)
	}
	var err error
	out.Routes, err = wire.RoutesFromProto(i.GetRoutes())
	faults = append(faults, err)
	out.OwnRoutes, err = wire.RoutesFromProto(i.GetOwnRoutes())
	faults = append(faults, err)
	return out, errors.Join(faults...)
}

// AllToProto converts plans.
func AllToProto(all []wiring.Interface) []*guestv1.Interface {
	var out []*guestv1.Interface
	for _, i := range all {
		out = append(out, ToProto(i))
	}
	return out
}

// AllFromProto converts plans; all that cannot be read is in the error.
func AllFromProto(all []*guestv1.Interface) ([]wiring.Interface, error) {
	var out []wiring.Interface
	var faults []error
	for _, i := range all {
		converted, err := FromProto(i)
		out, faults = append(out, converted), append(faults, err)
	}
	return out, errors.Join(faults...)
}
