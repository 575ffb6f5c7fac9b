package wire

import (
	"net/netip"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// DNSToProto converts a name server configuration; nil for an empty one.
func DNSToProto(d resource.DNSConfiguration) *typesv1.DNSConfiguration {
	if len(d.Servers)+len(d.Search)+len(d.Options) == 0 {
		return nil
	}
	return &typesv1.DNSConfiguration{Servers: field.Each(d.Servers, netip.Addr.String), Search: d.Search, Options: d.Options}
}

// DNSFromProto converts a name server configuration.
func DNSFromProto(d *typesv1.DNSConfiguration) (resource.DNSConfiguration, error) {
	var f field.Faults
	out := resource.DNSConfiguration{
		Servers: field.Each(d.GetServers(), func(s string) netip.Addr { return f.Required("name server", s) }),
		Search:  d.GetSearch(),
		Options: d.GetOptions(),
	}
	return out, f.Err()
}

// ExtraHostsToProto converts names of /etc/hosts.
func ExtraHostsToProto(hs []resource.ExtraHost) []*typesv1.ExtraHost {
	return field.Each(hs, func(h resource.ExtraHost) *typesv1.ExtraHost {
		if !h.Address.IsValid() {
			return &typesv1.ExtraHost{Name: h.Name, Address: resource.HostGateway}
		}
		return &typesv1.ExtraHost{Name: h.Name, Address: h.Address.String()}
	})
}

// ExtraHostsFromProto converts names of /etc/hosts.
func ExtraHostsFromProto(hs []*typesv1.ExtraHost) ([]resource.ExtraHost, error) {
	var f field.Faults
	out := field.Each(hs, func(h *typesv1.ExtraHost) resource.ExtraHost {
		out := resource.ExtraHost{Name: h.GetName()}
		if h.GetAddress() != resource.HostGateway {
			out.Address = f.Required("extra host "+h.GetName()+": address", h.GetAddress())
		}
		return out
	})
	return out, f.Err()
}
