package wire

import (
	"net/netip"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

// DNSToProto converts a name server configuration; nil for an empty one.
func DNSToProto(d resource.DNSConfiguration) *typesv1.DNSConfiguration {
	if len(d.Servers)+len(d.Search)+len(d.Options) == 0 {
		return nil
	}
	return &typesv1.DNSConfiguration{Servers: each(d.Servers, netip.Addr.String), Search: d.Search, Options: d.Options}
}

// DNSFromProto converts a name server configuration.
func DNSFromProto(d *typesv1.DNSConfiguration) (resource.DNSConfiguration, error) {
	var f faults
	out := dns(&f, d)
	return out, f.err()
}

func dns(f *faults, d *typesv1.DNSConfiguration) resource.DNSConfiguration {
	return resource.DNSConfiguration{
		Servers: each(d.GetServers(), func(s string) netip.Addr { return f.required("name server", s) }),
		Search:  d.GetSearch(),
		Options: d.GetOptions(),
	}
}

// ExtraHostsToProto converts names of /etc/hosts.
func ExtraHostsToProto(hs []resource.ExtraHost) []*typesv1.ExtraHost {
	return each(hs, func(h resource.ExtraHost) *typesv1.ExtraHost {
		if !h.Address.IsValid() {
			return &typesv1.ExtraHost{Name: h.Name, Address: resource.HostGateway}
		}
		return &typesv1.ExtraHost{Name: h.Name, Address: h.Address.String()}
	})
}

// ExtraHostsFromProto converts names of /etc/hosts.
func ExtraHostsFromProto(hs []*typesv1.ExtraHost) ([]resource.ExtraHost, error) {
	var f faults
	out := extraHosts(&f, hs)
	return out, f.err()
}

func extraHosts(f *faults, hs []*typesv1.ExtraHost) []resource.ExtraHost {
	return each(hs, func(h *typesv1.ExtraHost) resource.ExtraHost {
		out := resource.ExtraHost{Name: h.GetName()}
		if h.GetAddress() != resource.HostGateway {
			out.Address = f.required("extra host "+h.GetName()+": address", h.GetAddress())
		}
		return out
	})
}

// Found is what a plugin says about a name or an address.
type Found struct {
	Attachment resource.Attachment
	Owner      string // name of the container; empty: unknown
}

// FoundToProto converts the answer of a lookup.
func FoundToProto(all []Found) *pluginv1.LookupResponse {
	return &pluginv1.LookupResponse{
		Attachments: each(all, func(f Found) *typesv1.Attachment { return AttachmentToProto(f.Attachment) }),
		Owners:      each(all, func(f Found) string { return f.Owner }),
	}
}

// FoundFromProto converts the answer of a lookup; a plugin may leave owners out.
func FoundFromProto(r *pluginv1.LookupResponse) ([]Found, error) {
	as, err := AttachmentsFromProto(r.GetAttachments())
	out := make([]Found, len(as))
	for i, a := range as {
		out[i].Attachment = a
		if i < len(r.GetOwners()) {
			out[i].Owner = r.GetOwners()[i]
		}
	}
	return out, err
}
