package apiwire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

var networkStates = field.NewEnum(map[resource.NetworkState]apiserverv1.NetworkState{
	resource.NetworkStarting: apiserverv1.NetworkState_NETWORK_STATE_STARTING,
	resource.NetworkReady:    apiserverv1.NetworkState_NETWORK_STATE_READY,
	resource.NetworkDegraded: apiserverv1.NetworkState_NETWORK_STATE_DEGRADED,
	resource.NetworkFailed:   apiserverv1.NetworkState_NETWORK_STATE_FAILED,
})

// NetworkToProto converts a network.
func NetworkToProto(n resource.Network) *apiserverv1.Network {
	return &apiserverv1.Network{
		Metadata:      wire.MetadataToProto(n.Metadata),
		Configuration: NetworkConfigurationToProto(n.Configuration),
		Status: &apiserverv1.NetworkStatus{
			State:             networkStates.ToProto(n.Status.State),
			Message:           n.Status.Message,
			Ipv4Subnet:        field.PrefixString(n.Status.IPv4Subnet),
			Ipv4Gateway:       field.AddrString(n.Status.IPv4Gateway),
			Ipv6Subnet:        field.PrefixString(n.Status.IPv6Subnet),
			Ipv6Gateway:       field.AddrString(n.Status.IPv6Gateway),
			Mtu:               uint32(n.Status.MTU),
			AddressesInUse:    n.Status.AddressesInUse,
			AddressesTotal:    n.Status.AddressesTotal,
			AddressesReserved: n.Status.AddressesReserved,
			Ipv4Addresses:     usageToProto(n.Status.IPv4Addresses),
			Ipv6Addresses:     usageToProto(n.Status.IPv6Addresses),
			Warnings:          n.Status.Warnings,
			PluginPid:         int64(n.Status.PluginPID),
			BuiltIn:           n.Status.BuiltIn,
			Attachments:       field.Each(n.Status.Attachments, NetworkAttachmentToProto),
		},
	}
}

// NetworkAttachmentToProto converts a container's attachment as its network has it.
func NetworkAttachmentToProto(a resource.NetworkAttachment) *apiserverv1.NetworkAttachment {
	to := &apiserverv1.NetworkAttachment{Attachment: new(typesv1.Attachment)}
	NetworkAttachmentInto(to, a)
	return to
}

// NetworkAttachmentInto is NetworkAttachmentToProto into the memory of another one.
func NetworkAttachmentInto(to *apiserverv1.NetworkAttachment, a resource.NetworkAttachment) {
	to.Container, to.ContainerId, to.LeaseState = a.Container, a.ContainerID, string(a.LeaseState)
	wire.AttachmentInto(to.Attachment, a.Attachment)
}

// NetworkAttachmentFromProto converts a container's attachment as its network has it.
func NetworkAttachmentFromProto(a *apiserverv1.NetworkAttachment) (resource.NetworkAttachment, error) {
	attachment, err := wire.AttachmentFromProto(a.GetAttachment())
	return resource.NetworkAttachment{
		Container:   a.GetContainer(),
		ContainerID: a.GetContainerId(),
		LeaseState:  resource.LeaseState(a.GetLeaseState()),
		Attachment:  attachment,
	}, err
}

// NetworkFromProto converts a network.
func NetworkFromProto(n *apiserverv1.Network) (resource.Network, error) {
	var f field.Faults
	s := n.GetStatus()
	out := resource.Network{
		Metadata:      wire.MetadataFromProto(n.GetMetadata()),
		Configuration: field.From(&f, n.GetConfiguration(), NetworkConfigurationFromProto),
		Status: resource.NetworkStatus{
			State:             networkStates.FromProto(s.GetState()),
			Message:           s.GetMessage(),
			IPv4Subnet:        f.Prefix("ipv4 subnet", s.GetIpv4Subnet()),
			IPv4Gateway:       f.Addr("ipv4 gateway", s.GetIpv4Gateway()),
			IPv6Subnet:        f.Prefix("ipv6 subnet", s.GetIpv6Subnet()),
			IPv6Gateway:       f.Addr("ipv6 gateway", s.GetIpv6Gateway()),
			MTU:               int(s.GetMtu()),
			AddressesInUse:    s.GetAddressesInUse(),
			AddressesTotal:    s.GetAddressesTotal(),
			AddressesReserved: s.GetAddressesReserved(),
			IPv4Addresses:     wire.AddressUsageFromProto(s.GetIpv4Addresses()),
			IPv6Addresses:     wire.AddressUsageFromProto(s.GetIpv6Addresses()),
			Warnings:          s.GetWarnings(),
			PluginPID:         int(s.GetPluginPid()),
			BuiltIn:           s.GetBuiltIn(),
			Attachments: field.Each(s.GetAttachments(), func(a *apiserverv1.NetworkAttachment) resource.NetworkAttachment {
				return field.From(&f, a, NetworkAttachmentFromProto)
			}),
		},
	}
	return out, f.Err()
}

// NetworkConfigurationToProto converts what a user asks of a network.
func NetworkConfigurationToProto(c resource.NetworkConfiguration) *apiserverv1.NetworkConfiguration {
	return &apiserverv1.NetworkConfiguration{
		Plugin:         wire.PluginInfoToProto(c.Plugin),
		Ipv4Subnet:     field.PrefixString(c.IPv4Subnet),
		Ipv6Subnet:     field.PrefixString(c.IPv6Subnet),
		Mtu:            uint32(c.MTU),
		Options:        c.Options,
		Routes:         wire.RoutesToProto(c.Routes),
		ReservedRanges: wire.RangesToProto(c.ReservedRanges),
		Ipv4Disabled:   c.IPv4Disabled,
		Ipv6Disabled:   c.IPv6Disabled,
		Dns:            wire.DNSToProto(c.DNS),
	}
}

// NetworkConfigurationFromProto converts what a user asks of a network.
func NetworkConfigurationFromProto(c *apiserverv1.NetworkConfiguration) (resource.NetworkConfiguration, error) {
	var f field.Faults
	out := resource.NetworkConfiguration{
		Plugin:         wire.PluginInfoFromProto(c.GetPlugin()),
		IPv4Subnet:     f.Prefix("ipv4 subnet", c.GetIpv4Subnet()),
		IPv6Subnet:     f.Prefix("ipv6 subnet", c.GetIpv6Subnet()),
		MTU:            int(c.GetMtu()),
		Options:        c.GetOptions(),
		Routes:         field.From(&f, c.GetRoutes(), wire.RoutesFromProto),
		ReservedRanges: field.From(&f, c.GetReservedRanges(), wire.RangesFromProto),
		IPv4Disabled:   c.GetIpv4Disabled(),
		IPv6Disabled:   c.GetIpv6Disabled(),
		DNS:            field.From(&f, c.GetDns(), wire.DNSFromProto),
	}
	return out, f.Err()
}

// NetworkChangeFromProto converts what an update changes.
func NetworkChangeFromProto(r *apiserverv1.NetworkServiceUpdateRequest) (resource.NetworkChange, error) {
	var f field.Faults
	out := resource.NetworkChange{Labels: r.GetLabels(), RemoveLabels: r.GetRemoveLabels()}
	if r.Mtu != nil {
		mtu := int(r.GetMtu())
		out.MTU = &mtu
	}
	if r.ReservedRanges != nil {
		all := field.From(&f, r.GetReservedRanges().GetRanges(), wire.RangesFromProto)
		out.ReservedRanges = &all
	}
	if r.Dns != nil {
		servers := field.From(&f, r.GetDns(), wire.DNSFromProto)
		out.DNS = &servers
	}
	return out, f.Err()
}

func usageToProto(u resource.AddressUsage) *apiserverv1.AddressUsage {
	if u == (resource.AddressUsage{}) {
		return nil
	}
	return &apiserverv1.AddressUsage{InUse: u.InUse, Total: u.Total, Reserved: u.Reserved}
}
