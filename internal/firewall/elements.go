package firewall

import (
	"bytes"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"patchbay.dev/patchbay/internal/firewall/connection"
)

// element is one element of a set; its comment is its network's id.
type element = connection.Element

// desired are all elements that the network should have.
func (n *Network) desired(plain bool) []element {
	all := n.sure(plain)
	sets := inetSets()
	for _, f := range n.forwards() {
		all = append(all, element{Set: sets[f.set()], Value: n.forwardElement(f)})
	}
	return all
}

// sure are those that no other network can have: all but the published ports.
func (n *Network) sure(plain bool) []element {
	all := n.networkElements()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.ports {
		all = append(all, n.portElements(p, plain)...)
	}
	return all
}

// networkElements are those that do not depend on ports.
func (n *Network) networkElements() []element {
	sets := inetSets()
	bridge := name(n.config.Bridge)
	jump := func(set, chain string) element {
		return n.element(sets[set], bridge, &expr.Verdict{Kind: expr.VerdictJump, Chain: chain})
	}
	all := []element{
		n.element(sets[setBridges], bridge, nil),
		n.element(sets[setLoops], key(bridge, bridge), nil),
	}
	switch n.config.Host {
	case HostNone:
		all = append(all, jump(mapHost, chainHostNone))
	case HostGateway:
		all = append(all, jump(mapHost, chainHostGateway))
	case HostAll:
		all = append(all, jump(mapHost, chainHostAll))
	}
	if n.config.Reach == Internal {
		return append(all, jump(mapFrom, chainFromInternal), jump(mapTo, chainToInternal))
	}
	return append(all,
		jump(mapFrom, chainFromNAT), jump(mapTo, chainToNAT), n.element(sets[setMasquerade], bridge, nil))
}

// portElements are those of one port.
func (n *Network) portElements(p Port, plain bool) []element {
	all := n.neighbourElements(p)
	if plain {
		return all
	}
	return append(all, n.senderElements(p)...)
}

// neighbourElements say which addresses are behind the bridge.
func (n *Network) neighbourElements(p Port) []element {
	if n.config.Reach != NAT {
		return nil
	}
	var all []element
	sets := inetSets()
	for _, a := range p.Addresses {
		set := setNeighbours6
		if a.Is4() {
			set = setNeighbours4
		}
		all = append(all, n.element(sets[set], key(name(n.config.Bridge), a.AsSlice()), nil))
	}
	return all
}

// senderElements let a port send with its MAC address, and with that MAC address
// from its addresses.
func (n *Network) senderElements(p Port) []element {
	sets := bridgeSets()
	mac := p.MAC.HardwareAddr()
	if mac == nil {
		return nil
	}
	all := []element{
		n.element(sets[setPorts], key(name(p.Interface), mac), nil),
		n.element(sets[setSources6], key(name(p.Interface), mac, linkLocal(mac).AsSlice()), nil),
	}
	for _, a := range p.Addresses {
		set := setSources6
		if a.Is4() {
			set = setSources4
		}
		all = append(all, n.element(sets[set], key(name(p.Interface), mac, a.AsSlice()), nil))
	}
	return all
}

func (n *Network) element(s *nftables.Set, key []byte, v *expr.Verdict) element {
	return element{Set: s, Value: nftables.SetElement{Key: key, VerdictData: v, Comment: n.config.Network}}
}

// ownElements returns what the kernel has of the network in a set, as keys
// alone.
func (n *Network) ownElements(c *nftables.Conn, s *nftables.Set) ([]nftables.SetElement, error) {
	all, err := c.GetSetElements(s)
	if err != nil {
		return nil, err
	}
	var own []nftables.SetElement
	for _, e := range all {
		if e.Comment == n.config.Network {
			own = append(own, nftables.SetElement{Key: e.Key})
		}
	}
	return own, nil
}

// presentTables are those of the tables that exist.
func presentTables(c *nftables.Conn) ([]definition, error) {
	have, err := c.ListTables()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(tables(false), func(d definition) bool {
		return !slices.ContainsFunc(have, func(t *nftables.Table) bool {
			return t.Name == d.table.Name && t.Family == d.table.Family
		})
	}), nil
}

// The sets of the tables by their names. They are but read.
var (
	inetSets   = sync.OnceValue(func() map[string]*nftables.Set { return byName(inetTable()) })
	bridgeSets = sync.OnceValue(func() map[string]*nftables.Set { return byName(bridgeTable()) })
)

func byName(d definition) map[string]*nftables.Set {
	m := make(map[string]*nftables.Set, len(d.sets))
	for _, s := range d.sets {
		m[s.Name] = s
	}
	return m
}

func contains(all []nftables.SetElement, key []byte) bool {
	return slices.ContainsFunc(all, func(e nftables.SetElement) bool { return bytes.Equal(e.Key, key) })
}

// others are the elements of a set that are not among those that stay.
func others(s *nftables.Set, all []nftables.SetElement, stay []element) []element {
	var out []element
	for _, v := range all {
		stays := slices.ContainsFunc(stay, func(e element) bool {
			return e.Set.Name == s.Name && e.Set.Table.Family == s.Table.Family && bytes.Equal(e.Value.Key, v.Key)
		})
		if !stays {
			out = append(out, element{Set: s, Value: v})
		}
	}
	return out
}
