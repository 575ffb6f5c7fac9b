package wire

import (
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/resource"
)

var (
	networkStates = newEnum(map[resource.NetworkState]apiserverv1.NetworkState{
		resource.NetworkStarting: apiserverv1.NetworkState_NETWORK_STATE_STARTING,
		resource.NetworkReady:    apiserverv1.NetworkState_NETWORK_STATE_READY,
		resource.NetworkDegraded: apiserverv1.NetworkState_NETWORK_STATE_DEGRADED,
		resource.NetworkFailed:   apiserverv1.NetworkState_NETWORK_STATE_FAILED,
	})
	pluginNetworkStates = newEnum(map[resource.NetworkState]pluginv1.NetworkState{
		resource.NetworkReady:    pluginv1.NetworkState_NETWORK_STATE_READY,
		resource.NetworkDegraded: pluginv1.NetworkState_NETWORK_STATE_DEGRADED,
		resource.NetworkFailed:   pluginv1.NetworkState_NETWORK_STATE_FAILED,
	})
	leaseStates = newEnum(map[resource.LeaseState]pluginv1.LeaseState{
		resource.LeasePending:  pluginv1.LeaseState_LEASE_STATE_PENDING,
		resource.LeaseHeld:     pluginv1.LeaseState_LEASE_STATE_HELD,
		resource.LeaseOrphaned: pluginv1.LeaseState_LEASE_STATE_ORPHANED,
	})
)

// enum maps a word of resource to a number of api and back; what is unknown
// becomes the zero value.
type enum[R ~string, P ~int32] struct {
	toProto   map[R]P
	fromProto map[P]R
}

func newEnum[R ~string, P ~int32](toProto map[R]P) enum[R, P] {
	e := enum[R, P]{toProto: toProto, fromProto: make(map[P]R, len(toProto))}
	for r, p := range toProto {
		e.fromProto[p] = r
	}
	return e
}

// LeaseStateToProto converts a lease state.
func LeaseStateToProto(s resource.LeaseState) pluginv1.LeaseState { return leaseStates.toProto[s] }

// LeaseStateFromProto converts a lease state.
func LeaseStateFromProto(s pluginv1.LeaseState) resource.LeaseState { return leaseStates.fromProto[s] }

// NetworkToProto converts a network.
func NetworkToProto(n resource.Network) *apiserverv1.Network {
	return &apiserverv1.Network{
		Metadata:      MetadataToProto(n.Metadata),
		Configuration: NetworkConfigurationToProto(n.Configuration),
		Status: &apiserverv1.NetworkStatus{
			State:             networkStates.toProto[n.Status.State],
			Message:           n.Status.Message,
			Ipv4Subnet:        prefixString(n.Status.IPv4Subnet),
			Ipv4Gateway:       addrString(n.Status.IPv4Gateway),
			Ipv6Subnet:        prefixString(n.Status.IPv6Subnet),
			Ipv6Gateway:       addrString(n.Status.IPv6Gateway),
			Mtu:               uint32(n.Status.MTU),
			AddressesInUse:    n.Status.AddressesInUse,
			AddressesTotal:    n.Status.AddressesTotal,
			AddressesReserved: n.Status.AddressesReserved,
			Ipv4Addresses:     usageToProto(n.Status.IPv4Addresses),
			Ipv6Addresses:     usageToProto(n.Status.IPv6Addresses),
			Warnings:          n.Status.Warnings,
			PluginPid:         int64(n.Status.PluginPID),
			BuiltIn:           n.Status.BuiltIn,
			Attachments: each(n.Status.Attachments, func(a resource.NetworkAttachment) *apiserverv1.NetworkAttachment {
				return &apiserverv1.NetworkAttachment{
					Container:   a.Container,
					ContainerId: a.ContainerID,
					LeaseState:  string(a.LeaseState),
					Attachment:  AttachmentToProto(a.Attachment),
				}
			}),
		},
	}
}

// NetworkFromProto converts a network.
func NetworkFromProto(n *apiserverv1.Network) (resource.Network, error) {
	var f faults
	s := n.GetStatus()
	out := resource.Network{
		Metadata:      MetadataFromProto(n.GetMetadata()),
		Configuration: networkConfiguration(&f, n.GetConfiguration()),
		Status: resource.NetworkStatus{
			State:             networkStates.fromProto[s.GetState()],
			Message:           s.GetMessage(),
			IPv4Subnet:        f.prefix("ipv4 subnet", s.GetIpv4Subnet()),
			IPv4Gateway:       f.addr("ipv4 gateway", s.GetIpv4Gateway()),
			IPv6Subnet:        f.prefix("ipv6 subnet", s.GetIpv6Subnet()),
			IPv6Gateway:       f.addr("ipv6 gateway", s.GetIpv6Gateway()),
			MTU:               int(s.GetMtu()),
			AddressesInUse:    s.GetAddressesInUse(),
			AddressesTotal:    s.GetAddressesTotal(),
			AddressesReserved: s.GetAddressesReserved(),
			IPv4Addresses:     usageFromProto(s.GetIpv4Addresses()),
			IPv6Addresses:     usageFromProto(s.GetIpv6Addresses()),
			Warnings:          s.GetWarnings(),
			PluginPID:         int(s.GetPluginPid()),
			BuiltIn:           s.GetBuiltIn(),
			Attachments: each(s.GetAttachments(), func(a *apiserverv1.NetworkAttachment) resource.NetworkAttachment {
				return resource.NetworkAttachment{
					Container:   a.GetContainer(),
					ContainerID: a.GetContainerId(),
					LeaseState:  resource.LeaseState(a.GetLeaseState()),
					Attachment:  attachment(&f, a.GetAttachment()),
				}
			}),
		},
	}
	return out, f.err()
}

// NetworkConfigurationToProto converts what a user asks of a network.
func NetworkConfigurationToProto(c resource.NetworkConfiguration) *apiserverv1.NetworkConfiguration {
	return &apiserverv1.NetworkConfiguration{
		Plugin:         PluginInfoToProto(c.Plugin),
		Ipv4Subnet:     prefixString(c.IPv4Subnet),
		Ipv6Subnet:     prefixString(c.IPv6Subnet),
		Mtu:            uint32(c.MTU),
		Options:        c.Options,
		Routes:         routesToProto(c.Routes),
		ReservedRanges: RangesToProto(c.ReservedRanges),
		Ipv4Disabled:   c.IPv4Disabled,
		Ipv6Disabled:   c.IPv6Disabled,
		Dns:            DNSToProto(c.DNS),
	}
}

// NetworkConfigurationFromProto converts what a user asks of a network.
func NetworkConfigurationFromProto(c *apiserverv1.NetworkConfiguration) (resource.NetworkConfiguration, error) {
	var f faults
	out := networkConfiguration(&f, c)
	return out, f.err()
}

func networkConfiguration(f *faults, c *apiserverv1.NetworkConfiguration) resource.NetworkConfiguration {
	return resource.NetworkConfiguration{
		Plugin:         PluginInfoFromProto(c.GetPlugin()),
		IPv4Subnet:     f.prefix("ipv4 subnet", c.GetIpv4Subnet()),
		IPv6Subnet:     f.prefix("ipv6 subnet", c.GetIpv6Subnet()),
		MTU:            int(c.GetMtu()),
		Options:        c.GetOptions(),
		Routes:         routes(f, c.GetRoutes()),
		ReservedRanges: ranges(f, c.GetReservedRanges()),
		IPv4Disabled:   c.GetIpv4Disabled(),
		IPv6Disabled:   c.GetIpv6Disabled(),
		DNS:            dns(f, c.GetDns()),
	}
}

// RangesToProto converts address ranges.
func RangesToProto(rs []resource.AddressRange) []string {
	return each(rs, resource.AddressRange.String)
}

func ranges(f *faults, rs []string) []resource.AddressRange {
	return each(rs, func(s string) resource.AddressRange {
		r, err := resource.ParseAddressRange(s)
		f.add(err)
		return r
	})
}

// NetworkChangeFromProto converts what an update changes.
func NetworkChangeFromProto(r *apiserverv1.NetworkServiceUpdateRequest) (resource.NetworkChange, error) {
	var f faults
	out := resource.NetworkChange{Labels: r.GetLabels(), RemoveLabels: r.GetRemoveLabels()}
	if r.Mtu != nil {
		mtu := int(r.GetMtu())
		out.MTU = &mtu
	}
	if r.ReservedRanges != nil {
		all := ranges(&f, r.GetReservedRanges().GetRanges())
		out.ReservedRanges = &all
	}
	if r.Dns != nil {
		servers := dns(&f, r.GetDns())
		out.DNS = &servers
	}
	return out, f.err()
}

// PluginStatusToProto converts what a plugin says of its network. PluginPID,
// BuiltIn and Attachments do not travel: they are the API server's.
func PluginStatusToProto(s resource.NetworkStatus) *pluginv1.NetworkStatus {
	return &pluginv1.NetworkStatus{
		State:             pluginNetworkStates.toProto[s.State],
		Message:           s.Message,
		Ipv4Subnet:        prefixString(s.IPv4Subnet),
		Ipv4Gateway:       addrString(s.IPv4Gateway),
		Ipv6Subnet:        prefixString(s.IPv6Subnet),
		Ipv6Gateway:       addrString(s.IPv6Gateway),
		Mtu:               uint32(s.MTU),
		AddressesInUse:    s.AddressesInUse,
		AddressesTotal:    s.AddressesTotal,
		AddressesReserved: s.AddressesReserved,
		Ipv4Addresses:     pluginUsageToProto(s.IPv4Addresses),
		Ipv6Addresses:     pluginUsageToProto(s.IPv6Addresses),
		Warnings:          s.Warnings,
	}
}

// PluginStatusFromProto converts what a plugin says of its network.
func PluginStatusFromProto(s *pluginv1.NetworkStatus) (resource.NetworkStatus, error) {
	var f faults
	out := resource.NetworkStatus{
		State:             pluginNetworkStates.fromProto[s.GetState()],
		Message:           s.GetMessage(),
		IPv4Subnet:        f.prefixOf(4, "ipv4 subnet", s.GetIpv4Subnet()),
		IPv4Gateway:       f.addrOf(4, "ipv4 gateway", s.GetIpv4Gateway()),
		IPv6Subnet:        f.prefixOf(6, "ipv6 subnet", s.GetIpv6Subnet()),
		IPv6Gateway:       f.addrOf(6, "ipv6 gateway", s.GetIpv6Gateway()),
		MTU:               int(s.GetMtu()),
		AddressesInUse:    s.GetAddressesInUse(),
		AddressesTotal:    s.GetAddressesTotal(),
		AddressesReserved: s.GetAddressesReserved(),
		IPv4Addresses:     usageFromProto(s.GetIpv4Addresses()),
		IPv6Addresses:     usageFromProto(s.GetIpv6Addresses()),
		Warnings:          s.GetWarnings(),
	}
	if none := (resource.AddressUsage{}); out.IPv4Addresses == none && out.IPv6Addresses == none {
		only := resource.AddressUsage{InUse: out.AddressesInUse, Total: out.AddressesTotal, Reserved: out.AddressesReserved}
		switch {
		case out.IPv4Subnet.IsValid():
			out.IPv4Addresses = only
		case out.IPv6Subnet.IsValid():
			out.IPv6Addresses = only
		}
	}
	return out, f.err()
}

// usage is the message of either contract.
type usage interface {
	GetInUse() uint64
	GetTotal() uint64
	GetReserved() uint64
}

func usageFromProto(u usage) resource.AddressUsage {
	return resource.AddressUsage{InUse: u.GetInUse(), Total: u.GetTotal(), Reserved: u.GetReserved()}
}

func usageToProto(u resource.AddressUsage) *apiserverv1.AddressUsage {
	if u == (resource.AddressUsage{}) {
		return nil
	}
	return &apiserverv1.AddressUsage{InUse: u.InUse, Total: u.Total, Reserved: u.Reserved}
}

func pluginUsageToProto(u resource.AddressUsage) *pluginv1.AddressUsage {
	if u == (resource.AddressUsage{}) {
		return nil
	}
	return &pluginv1.AddressUsage{InUse: u.InUse, Total: u.Total, Reserved: u.Reserved}
}

// Reservation is static addresses set aside for a key.
type Reservation struct {
	Key, Owner    string
	Configuration resource.AttachmentConfiguration // its addresses only
}

// ReservationToProto converts a reservation.
func ReservationToProto(r Reservation) *pluginv1.Reservation {
	return &pluginv1.Reservation{
		Key:         r.Key,
		Owner:       r.Owner,
		Ipv4Address: addrString(r.Configuration.IPv4Address),
		Ipv6Address: addrString(r.Configuration.IPv6Address),
		MacAddress:  string(r.Configuration.MACAddress),
	}
}

// ReservationFromProto converts a reservation.
func ReservationFromProto(r *pluginv1.Reservation) (Reservation, error) {
	var f faults
	out := Reservation{Key: r.GetKey(), Owner: r.GetOwner(), Configuration: resource.AttachmentConfiguration{
		IPv4Address: f.addr("ipv4 address", r.GetIpv4Address()),
		IPv6Address: f.addr("ipv6 address", r.GetIpv6Address()),
		MACAddress:  f.mac(r.GetMacAddress()),
	}}
	return out, f.err()
}
