package wire

import (
	"net/netip"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/resource"
)

// PluginConfiguration is what a network plugin is told of its network.
type PluginConfiguration struct {
	ID         string
	Name       string
	Variant    string
	IPv4Subnet netip.Prefix // zero: the plugin chooses
	IPv6Subnet netip.Prefix
	MTU        int
	Options    map[string]string
	Used       []UsedPrefix // by other networks
	// ReservedRanges are given on request only.
	ReservedRanges             []resource.AddressRange
	IPv4Disabled, IPv6Disabled bool
	// Subnets are chosen from the pools, in order; none: pools of the plugin's own.
	IPv4Pools, IPv6Pools []resource.SubnetPool
}

// UsedPrefix is a prefix that another network uses.
type UsedPrefix struct {
	Network string // name
	Prefix  netip.Prefix
}

// PluginConfigurationFromProto converts a network's configuration.
func PluginConfigurationFromProto(c *pluginv1.NetworkConfiguration) (PluginConfiguration, error) {
	var f faults
	out := PluginConfiguration{
		ID:         c.GetId(),
		Name:       c.GetName(),
		Variant:    c.GetVariant(),
		IPv4Subnet: f.prefix("ipv4 subnet", c.GetIpv4Subnet()),
		IPv6Subnet: f.prefix("ipv6 subnet", c.GetIpv6Subnet()),
		MTU:        int(c.GetMtu()),
		Options:    c.GetOptions(),
		Used: each(c.GetUsedPrefixes(), func(u *pluginv1.NetworkPrefix) UsedPrefix {
			return UsedPrefix{Network: u.GetNetwork(), Prefix: f.prefix("used prefix", u.GetPrefix())}
		}),
		ReservedRanges: ranges(&f, c.GetReservedRanges()),
		IPv4Disabled:   c.GetIpv4Disabled(),
		IPv6Disabled:   c.GetIpv6Disabled(),
		IPv4Pools:      pools(&f, "ipv4 pool", c.GetIpv4Pools()),
		IPv6Pools:      pools(&f, "ipv6 pool", c.GetIpv6Pools()),
	}
	return out, f.err()
}

// SubnetPoolsToProto converts pools that subnets are chosen from.
func SubnetPoolsToProto(all []resource.SubnetPool) []*pluginv1.SubnetPool {
	return each(all, func(p resource.SubnetPool) *pluginv1.SubnetPool {
		return &pluginv1.SubnetPool{Base: prefixString(p.Base), Size: uint32(p.Size)}
	})
}

func pools(f *faults, what string, all []*pluginv1.SubnetPool) []resource.SubnetPool {
	return each(all, func(p *pluginv1.SubnetPool) resource.SubnetPool {
		pool := resource.SubnetPool{Base: f.prefix(what, p.GetBase()), Size: int(p.GetSize())}
		f.add(pool.Validate())
		return pool
	})
}
