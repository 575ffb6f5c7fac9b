package pluginwire

import (
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

var (
	networkStates = field.NewEnum(map[resource.NetworkState]pluginv1.NetworkState{
		resource.NetworkReady:    pluginv1.NetworkState_NETWORK_STATE_READY,
		resource.NetworkDegraded: pluginv1.NetworkState_NETWORK_STATE_DEGRADED,
		resource.NetworkFailed:   pluginv1.NetworkState_NETWORK_STATE_FAILED,
	})
	leaseStates = field.NewEnum(map[resource.LeaseState]pluginv1.LeaseState{
		resource.LeasePending:  pluginv1.LeaseState_LEASE_STATE_PENDING,
		resource.LeaseHeld:     pluginv1.LeaseState_LEASE_STATE_HELD,
		resource.LeaseOrphaned: pluginv1.LeaseState_LEASE_STATE_ORPHANED,
	})
)

// LeaseStateToProto converts a lease state.
func LeaseStateToProto(s resource.LeaseState) pluginv1.LeaseState { return leaseStates.ToProto(s) }

// LeaseStateFromProto converts a lease state.
func LeaseStateFromProto(s pluginv1.LeaseState) resource.LeaseState { return leaseStates.FromProto(s) }

// StatusToProto converts what a plugin says of its network. PluginPID,
// BuiltIn and Attachments do not travel: they are the API server's.
func StatusToProto(s resource.NetworkStatus) *pluginv1.NetworkStatus {
	return &pluginv1.NetworkStatus{
		State:             networkStates.ToProto(s.State),
		Message:           s.Message,
		Ipv4Subnet:        field.PrefixString(s.IPv4Subnet),
		Ipv4Gateway:       field.AddrString(s.IPv4Gateway),
		Ipv6Subnet:        field.PrefixString(s.IPv6Subnet),
		Ipv6Gateway:       field.AddrString(s.IPv6Gateway),
		Mtu:               uint32(s.MTU),
		AddressesInUse:    s.AddressesInUse,
		AddressesTotal:    s.AddressesTotal,
		AddressesReserved: s.AddressesReserved,
		Ipv4Addresses:     usageToProto(s.IPv4Addresses),
		Ipv6Addresses:     usageToProto(s.IPv6Addresses),
		Warnings:          s.Warnings,
	}
}

// StatusFromProto converts what a plugin says of its network.
func StatusFromProto(s *pluginv1.NetworkStatus) (resource.NetworkStatus, error) {
	var f field.Faults
	out := resource.NetworkStatus{
		State:             networkStates.FromProto(s.GetState()),
		Message:           s.GetMessage(),
		IPv4Subnet:        f.PrefixOf(4, "ipv4 subnet", s.GetIpv4Subnet()),
		IPv4Gateway:       f.AddrOf(4, "ipv4 gateway", s.GetIpv4Gateway()),
		IPv6Subnet:        f.PrefixOf(6, "ipv6 subnet", s.GetIpv6Subnet()),
		IPv6Gateway:       f.AddrOf(6, "ipv6 gateway", s.GetIpv6Gateway()),
		MTU:               int(s.GetMtu()),
		AddressesInUse:    s.GetAddressesInUse(),
		AddressesTotal:    s.GetAddressesTotal(),
		AddressesReserved: s.GetAddressesReserved(),
		IPv4Addresses:     wire.AddressUsageFromProto(s.GetIpv4Addresses()),
		IPv6Addresses:     wire.AddressUsageFromProto(s.GetIpv6Addresses()),
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
	return out, f.Err()
}

func usageToProto(u resource.AddressUsage) *pluginv1.AddressUsage {
	if u == (resource.AddressUsage{}) {
		return nil
	}
	return &pluginv1.AddressUsage{InUse: u.InUse, Total: u.Total, Reserved: u.Reserved}
}
