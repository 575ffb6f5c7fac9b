package wire

import (
	"errors"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// MetadataToProto converts a resource's metadata.
func MetadataToProto(m resource.Metadata) *typesv1.Metadata {
	return &typesv1.Metadata{Id: m.ID, Name: m.Name, CreatedAt: field.Timestamp(m.CreatedAt), Labels: m.Labels}
}

// MetadataFromProto converts a resource's metadata.
func MetadataFromProto(m *typesv1.Metadata) resource.Metadata {
	return resource.Metadata{ID: m.GetId(), Name: m.GetName(), CreatedAt: field.Instant(m.GetCreatedAt()), Labels: m.GetLabels()}
}

// PluginInfoToProto converts a plugin reference.
func PluginInfoToProto(p resource.PluginInfo) *typesv1.PluginInfo {
	return &typesv1.PluginInfo{Plugin: p.Plugin, Variant: p.Variant}
}

// PluginInfoFromProto converts a plugin reference.
func PluginInfoFromProto(p *typesv1.PluginInfo) resource.PluginInfo {
	return resource.PluginInfo{Plugin: p.GetPlugin(), Variant: p.GetVariant()}
}

// AttachmentConfigurationToProto converts a wish for a network.
func AttachmentConfigurationToProto(c resource.AttachmentConfiguration) *typesv1.AttachmentConfiguration {
	return &typesv1.AttachmentConfiguration{
		Network:         c.Network,
		Hostname:        c.Hostname,
		Aliases:         c.Aliases,
		Ipv4Address:     field.AddrString(c.IPv4Address),
		Ipv6Address:     field.AddrString(c.IPv6Address),
		MacAddress:      string(c.MACAddress),
		Mtu:             uint32(c.MTU),
		InterfaceName:   c.InterfaceName,
		GatewayPriority: int32(c.GatewayPriority),
		Options:         c.Options,
		Sysctls:         c.Sysctls,
		RateIn:          uint64(c.RateIn),
		RateOut:         uint64(c.RateOut),
	}
}

// AttachmentConfigurationFromProto converts a wish for a network.
func AttachmentConfigurationFromProto(c *typesv1.AttachmentConfiguration) (resource.AttachmentConfiguration, error) {
	var f field.Faults
	out := resource.AttachmentConfiguration{
		Network:         c.GetNetwork(),
		Hostname:        c.GetHostname(),
		Aliases:         c.GetAliases(),
		IPv4Address:     f.Addr("ipv4 address", c.GetIpv4Address()),
		IPv6Address:     f.Addr("ipv6 address", c.GetIpv6Address()),
		MACAddress:      f.MAC(c.GetMacAddress()),
		MTU:             int(c.GetMtu()),
		InterfaceName:   c.GetInterfaceName(),
		GatewayPriority: int(c.GetGatewayPriority()),
		Options:         c.GetOptions(),
		Sysctls:         c.GetSysctls(),
		RateIn:          resource.BitRate(c.GetRateIn()),
		RateOut:         resource.BitRate(c.GetRateOut()),
	}
	return out, f.Err()
}

// AttachmentToProto converts a network's answer.
func AttachmentToProto(a resource.Attachment) *typesv1.Attachment {
	to := new(typesv1.Attachment)
	AttachmentInto(to, a)
	return to
}

// AttachmentInto is AttachmentToProto into the memory of another one.
func AttachmentInto(to *typesv1.Attachment, a resource.Attachment) {
	*to = typesv1.Attachment{
		NetworkId:       a.NetworkID,
		Network:         a.Network,
		Hostname:        a.Hostname,
		Aliases:         a.Aliases,
		Ipv4Address:     field.PrefixString(a.IPv4Address),
		Ipv4Gateway:     field.AddrString(a.IPv4Gateway),
		Ipv6Address:     field.PrefixString(a.IPv6Address),
		Ipv6Gateway:     field.AddrString(a.IPv6Gateway),
		MacAddress:      string(a.MACAddress),
		Mtu:             uint32(a.MTU),
		InterfaceName:   a.InterfaceName,
		GatewayPriority: int32(a.GatewayPriority),
		Routes:          RoutesToProto(a.Routes),
		Dns:             DNSToProto(a.DNS),
		Sysctls:         a.Sysctls,
		RateIn:          uint64(a.RateIn),
		RateOut:         uint64(a.RateOut),
	}
}

// AttachmentFromProto converts a network's answer.
func AttachmentFromProto(a *typesv1.Attachment) (resource.Attachment, error) {
	var f field.Faults
	out := resource.Attachment{
		NetworkID:       a.GetNetworkId(),
		Network:         a.GetNetwork(),
		Hostname:        a.GetHostname(),
		Aliases:         a.GetAliases(),
		IPv4Address:     f.PrefixOf(4, "ipv4 address", a.GetIpv4Address()),
		IPv4Gateway:     f.AddrOf(4, "ipv4 gateway", a.GetIpv4Gateway()),
		IPv6Address:     f.PrefixOf(6, "ipv6 address", a.GetIpv6Address()),
		IPv6Gateway:     f.AddrOf(6, "ipv6 gateway", a.GetIpv6Gateway()),
		MACAddress:      f.MAC(a.GetMacAddress()),
		MTU:             int(a.GetMtu()),
		InterfaceName:   a.GetInterfaceName(),
		GatewayPriority: int(a.GetGatewayPriority()),
		Routes:          field.From(&f, a.GetRoutes(), RoutesFromProto),
		DNS:             field.From(&f, a.GetDns(), DNSFromProto),
		Sysctls:         a.GetSysctls(),
		RateIn:          resource.BitRate(a.GetRateIn()),
		RateOut:         resource.BitRate(a.GetRateOut()),
	}
	return out, f.Err()
}

// RoutesToProto converts routes.
func RoutesToProto(rs []resource.Route) []*typesv1.Route {
	return field.Each(rs, func(r resource.Route) *typesv1.Route {
		return &typesv1.Route{Destination: field.PrefixString(r.Destination), Gateway: field.AddrString(r.Gateway)}
	})
}

// RoutesFromProto converts routes.
func RoutesFromProto(rs []*typesv1.Route) ([]resource.Route, error) {
	var f field.Faults
	out := field.Each(rs, func(r *typesv1.Route) resource.Route {
		if r.GetDestination() == "" {
			f.Add(errors.New("route destination: is empty, want a prefix, like 10.0.0.0/24"))
		}
		return resource.Route{
			Destination: f.Prefix("route destination", r.GetDestination()),
			Gateway:     f.Addr("route gateway", r.GetGateway()),
		}
	})
	return out, f.Err()
}

// AttachmentsToProto converts a list of answers.
func AttachmentsToProto(as []resource.Attachment) []*typesv1.Attachment {
	return field.Each(as, AttachmentToProto)
}

// AttachmentsFromProto converts a list of answers.
func AttachmentsFromProto(as []*typesv1.Attachment) ([]resource.Attachment, error) {
	var f field.Faults
	out := field.Each(as, func(a *typesv1.Attachment) resource.Attachment { return field.From(&f, a, AttachmentFromProto) })
	return out, f.Err()
}

// AllocatedAttachmentToProto converts an allocation.
func AllocatedAttachmentToProto(a resource.AllocatedAttachment) *typesv1.AllocatedAttachment {
	return &typesv1.AllocatedAttachment{
		Attachment:     AttachmentToProto(a.Attachment),
		Plugin:         PluginInfoToProto(a.Plugin),
		Strategy:       a.Strategy,
		AdditionalData: a.AdditionalData,
		Lease:          &typesv1.LeaseReference{Key: a.Lease.Key, Socket: a.Lease.Socket, Codec: string(a.Lease.Codec)},
	}
}

// AllocatedAttachmentsToProto converts a list of allocations.
func AllocatedAttachmentsToProto(as []resource.AllocatedAttachment) []*typesv1.AllocatedAttachment {
	return field.Each(as, AllocatedAttachmentToProto)
}

// AllocatedAttachmentsFromProto converts a list of allocations.
func AllocatedAttachmentsFromProto(as []*typesv1.AllocatedAttachment) ([]resource.AllocatedAttachment, error) {
	var f field.Faults
	out := field.Each(as, func(a *typesv1.AllocatedAttachment) resource.AllocatedAttachment {
		return field.From(&f, a, AllocatedAttachmentFromProto)
	})
	return out, f.Err()
}

// AllocatedAttachmentFromProto converts an allocation.
func AllocatedAttachmentFromProto(a *typesv1.AllocatedAttachment) (resource.AllocatedAttachment, error) {
	var f field.Faults
	out := resource.AllocatedAttachment{
		Attachment:     field.From(&f, a.GetAttachment(), AttachmentFromProto),
		Plugin:         PluginInfoFromProto(a.GetPlugin()),
		Strategy:       a.GetStrategy(),
		AdditionalData: a.GetAdditionalData(),
		Lease:          leaseReference(a.GetLease()),
	}
	return out, f.Err()
}

func leaseReference(l *typesv1.LeaseReference) resource.LeaseReference {
	return resource.LeaseReference{Key: l.GetKey(), Socket: l.GetSocket(), Codec: resource.Codec(l.GetCodec())}
}
