package addressing

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// CheckRoutes reports which of a network's routes do not fit what its plugin
// made of it.
func CheckRoutes(record resource.StoredNetwork, s resource.NetworkStatus) error {
	var faults []error
	for _, r := range record.Configuration.Routes {
		subnet, gateway := s.IPv4Subnet, s.IPv4Gateway
		if r.Destination.Addr().Is6() {
			subnet, gateway = s.IPv6Subnet, s.IPv6Gateway
		}
		err := r.Within(subnet)
		if err == nil && !r.Gateway.IsValid() && !gateway.IsValid() {
			err = fmt.Errorf("route %v: the network has no gateway; give the route one, like %v=ADDRESS", r.Destination, r.Destination)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("network %s: %w: %w", record.Name, err, errdefs.ErrInvalidArgument))
		}
	}
	return errors.Join(faults...)
}

// AttachedRoutes are a network's routes as an attachment has them: by its
// gateway where they name none. Those of a family that it lacks are left out.
func AttachedRoutes(routes []resource.Route, a resource.Attachment) []resource.Route {
	var out []resource.Route
	for _, r := range routes {
		address, gateway := a.IPv4Address, a.IPv4Gateway
		if r.Destination.Addr().Is6() {
			address, gateway = a.IPv6Address, a.IPv6Gateway
		}
		if r.Gateway == (netip.Addr{}) {
			r.Gateway = gateway
		}
		if address.IsValid() && r.Gateway.IsValid() {
			out = append(out, r)
		}
	}
	return out
}

// AttachedDNS is what a plugin says of name servers, after what the network's
// configuration does.
func AttachedDNS(configured, told resource.DNSConfiguration) resource.DNSConfiguration {
	return resource.DNSConfiguration{
		Servers: slices.Concat(configured.Servers, told.Servers),
		Search:  slices.Concat(configured.Search, told.Search),
		Options: slices.Concat(configured.Options, told.Options),
	}
}
