package pluginwire

import (
	"net/netip"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// Configuration is what a network plugin is told of its network.
type Configuration struct {
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

// ConfigurationFromProto converts a network's configuration.
func ConfigurationFromProto(c *pluginv1.NetworkConfiguration) (Configuration, error) {
	var f field.Faults
	out := Configuration{
		ID:         c.GetId(),
		Name:       c.GetName(),
		Variant:    c.GetVariant(),
		IPv4Subnet: f.Prefix("ipv4 subnet", c.GetIpv4Subnet()),
		IPv6Subnet: f.Prefix("ipv6 subnet", c.GetIpv6Subnet()),
		MTU:        int(c.GetMtu()),
		Options:    c.GetOptions(),
		Used: field.Each(c.GetUsedPrefixes(), func(u *pluginv1.NetworkPrefix) UsedPrefix {
			return UsedPrefix{Network: u.GetNetwork(), Prefix: f.Prefix("used prefix", u.GetPrefix())}
		}),
		ReservedRanges: field.From(&f, c.GetReservedRanges(), wire.RangesFromProto),
		IPv4Disabled:   c.GetIpv4Disabled(),
		IPv6Disabled:   c.GetIpv6Disabled(),
		IPv4Pools:      pools(&f, "ipv4 pool", c.GetIpv4Pools()),
		IPv6Pools:      pools(&f, "ipv6 pool", c.GetIpv6Pools()),
	}
	return out, f.Err()
}

// SubnetPoolsToProto converts pools that subnets are chosen from.
func SubnetPoolsToProto(all []resource.SubnetPool) []*pluginv1.SubnetPool {
	return field.Each(all, func(p resource.SubnetPool) *pluginv1.SubnetPool {
		return &pluginv1.SubnetPool{Base: field.PrefixString(p.Base), Size: uint32(p.Size)}
	})
}

func pools(f *field.Faults, what string, all []*pluginv1.SubnetPool) []resource.SubnetPool {
	return field.Each(all, func(p *pluginv1.SubnetPool) resource.SubnetPool {
		pool := resource.SubnetPool{Base: f.Prefix(what, p.GetBase()), Size: int(p.GetSize())}
		f.Add(pool.Validate())
		return pool
	})
}
