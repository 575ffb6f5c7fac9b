package addressing

import (
	"iter"
	"maps"
	"net/netip"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/ipam"
	"patchbay.dev/patchbay/resource"
)

// Extent says of how many other networks a plugin is told.
type Extent int

const (
	// All of them: with a thousand, that takes both sides as long as much else of a creation.
	All Extent = iota
	// Near are those in the way of a network that chooses its subnets as package ipam does, and
	// some others. A plugin that chooses otherwise may meet another one; then Claim says so, and it
	// chooses beside all.
	Near
)

// nearby is of how many networks, beside those that are in the way, a plugin is told: of so few
// it is told of all.
const nearby = 64

// used returns the prefixes that the plugin of a network must keep off, of the families of
// which it chooses a subnet. Given and pinned ones have been compared with the claims of all.
func (l *Ledger) used(r resource.StoredNetwork, extent Extent) []*pluginv1.NetworkPrefix {
	want := Wanted(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	most := len(l.claims)
	if extent == Near {
		most = min(most, nearby)
	}
	var out []*pluginv1.NetworkPrefix
	for _, f := range []struct {
		chooses bool
		of      func(resource.PinnedSubnets) netip.Prefix
		choose  choice
		pools   []resource.SubnetPool
	}{
		{!want.IPv4.IsValid() && !r.Configuration.IPv4Disabled, subnet4, ipam.ChooseSubnet4, l.pools.IPv4},
		{!want.IPv6.IsValid() && !r.Configuration.IPv6Disabled, subnet6, ipam.ChooseSubnet6, l.pools.IPv6},
	} {
		if !f.chooses {
			continue
		}
		others := l.others(r.ID, f.of)
		if most < len(l.claims) {
			others = near(others, most, func(used iter.Seq[netip.Prefix]) (netip.Prefix, error) { return f.choose(r.ID, f.pools, used) })
		}
		for p, name := range others {
			out = append(out, &pluginv1.NetworkPrefix{Network: name, Prefix: p.String()})
		}
	}
	return out
}

func subnet4(p resource.PinnedSubnets) netip.Prefix { return p.IPv4 }
func subnet6(p resource.PinnedSubnets) netip.Prefix { return p.IPv6 }

// choice is ipam.ChooseSubnet4 or its like.
type choice func(seed string, pools []resource.SubnetPool, used iter.Seq[netip.Prefix]) (netip.Prefix, error)

// others are the subnets and names of other networks; mu is held.
func (l *Ledger) others(id string, of func(resource.PinnedSubnets) netip.Prefix) iter.Seq2[netip.Prefix, string] {
	return func(yield func(netip.Prefix, string) bool) {
		for other, c := range l.claims {
			if p := of(c.subnets); other != id && p.IsValid() && !yield(p, c.name) {
				return
			}
		}
	}
}

// near are those of others beside which the same is chosen as beside all, and as many more as
// there is room for. Where that cannot be said it is all.
func near(others iter.Seq2[netip.Prefix, string], most int, choose func(iter.Seq[netip.Prefix]) (netip.Prefix, error)) iter.Seq2[netip.Prefix, string] {
	met := map[netip.Prefix]string{}
	beside, err := choose(func(yield func(netip.Prefix) bool) {
		for p, name := range others {
			if !yield(p) { // it is in the way: nothing else need be looked at
				met[p] = name
				return
			}
		}
	})
	if err != nil {
		return others
	}
	for p, name := range others {
		if len(met) >= most {
			break
		}
		met[p] = name
	}
	if again, err := choose(maps.Keys(met)); err != nil || again != beside {
		return others
	}
	return maps.All(met)
}
