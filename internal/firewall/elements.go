package firewall

import (
	"fmt"
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
	return append(n.sure(plain), n.forwardElements(n.forwards())...)
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

// ownElements returns what the kernel has of the network in the sets of tables, as keys
// alone.
func (n *Network) ownElements(c *nftables.Conn, present []definition) ([]element, error) {
	var own []element
	for _, t := range present {
		for _, s := range t.sets {
			all, err := c.GetSetElements(s)
			if err != nil {
				return nil, fmt.Errorf("set %s: %w", s.Name, err)
			}
			for _, e := range all {
				if e.Comment == n.config.Network {
					own = append(own, element{Set: s, Value: nftables.SetElement{Key: e.Key}})
				}
			}
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

// elementID tells elements of all sets apart.
type elementID struct {
	family   nftables.TableFamily
	set, key string
}

func idOf(s *nftables.Set, key []byte) elementID {
	return elementID{s.Table.Family, s.Name, string(key)}
}

func idsOf(all []element) map[elementID]bool {
	ids := make(map[elementID]bool, len(all))
	for _, e := range all {
		ids[idOf(e.Set, e.Value.Key)] = true
	}
	return ids
}
