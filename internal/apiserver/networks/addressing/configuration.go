package addressing

import (
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
	"patchbay.dev/patchbay/resource"
)

// Configuration is what the plugin of a network is told of it, and how much of others.
func (l *Ledger) Configuration(r resource.StoredNetwork, extent Extent) *pluginv1.NetworkConfiguration {
	want, c := Wanted(r), r.Configuration
	return &pluginv1.NetworkConfiguration{
		Id:             r.ID,
		Name:           r.Name,
		Variant:        c.Plugin.Variant,
		Ipv4Subnet:     field.PrefixString(want.IPv4),
		Ipv6Subnet:     field.PrefixString(want.IPv6),
		Mtu:            uint32(c.MTU),
		Options:        c.Options,
		UsedPrefixes:   l.used(r, extent),
		ReservedRanges: wire.RangesToProto(c.ReservedRanges),
		Ipv4Disabled:   c.IPv4Disabled,
		Ipv6Disabled:   c.IPv6Disabled,
		Ipv4Pools:      pluginwire.SubnetPoolsToProto(l.pools.IPv4),
		Ipv6Pools:      pluginwire.SubnetPoolsToProto(l.pools.IPv6),
	}
}
