package firewall

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"patchbay.dev/patchbay/internal/firewall/connection"
	"patchbay.dev/patchbay/internal/firewall/ruleset"
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
	bridge := ruleset.Interface(n.config.Bridge)
	jump := func(set, chain string) element {
		return n.element(ruleset.Inet(set), bridge, &expr.Verdict{Kind: expr.VerdictJump, Chain: chain})
	}
	all := []element{
		n.element(ruleset.Inet(ruleset.SetBridges), bridge, nil),
		n.element(ruleset.Inet(ruleset.SetLoops), ruleset.Key(bridge, bridge), nil),
	}
	switch n.config.Host {
	case HostNone:
		all = append(all, jump(ruleset.MapHost, ruleset.ChainHostNone))
	case HostGateway:
		all = append(all, jump(ruleset.MapHost, ruleset.ChainHostGateway))
	case HostAll:
		all = append(all, jump(ruleset.MapHost, ruleset.ChainHostAll))
	}
	if n.config.Reach == Internal {
		return append(all, jump(ruleset.MapFrom, ruleset.ChainFromInternal), jump(ruleset.MapTo, ruleset.ChainToInternal))
	}
	return append(all,
		jump(ruleset.MapFrom, ruleset.ChainFromNAT), jump(ruleset.MapTo, ruleset.ChainToNAT), n.element(ruleset.Inet(ruleset.SetMasquerade), bridge, nil))
}

// portElements are those of one port.
func (n *Network) portElements(p Port, plain bool) []element {
	all := make([]element, 0, 2*len(p.Addresses)+2)
	all = n.neighbourElements(all, p)
	if plain {
		return all
	}
	return n.senderElements(all, p)
}

// neighbourElements say which addresses are behind the bridge; they are added to all.
func (n *Network) neighbourElements(all []element, p Port) []element {
	if n.config.Reach != NAT {
		return all
	}
	for _, a := range p.Addresses {
		set := ruleset.SetNeighbours6
		if a.Is4() {
			set = ruleset.SetNeighbours4
		}
		all = append(all, n.element(ruleset.Inet(set), ruleset.Key(ruleset.Interface(n.config.Bridge), a.AsSlice()), nil))
	}
	return all
}

// senderElements let a port send with its MAC address, and with that MAC address
// from its addresses; they are added to all.
func (n *Network) senderElements(all []element, p Port) []element {
	mac := p.MAC.HardwareAddr()
	if mac == nil {
		return all
	}
	all = append(all,
		n.element(ruleset.Bridge(ruleset.SetPorts), ruleset.Key(ruleset.Interface(p.Interface), mac), nil),
		n.element(ruleset.Bridge(ruleset.SetSources6), ruleset.Key(ruleset.Interface(p.Interface), mac, linkLocal(mac).AsSlice()), nil))
	for _, a := range p.Addresses {
		set := ruleset.SetSources6
		if a.Is4() {
			set = ruleset.SetSources4
		}
		all = append(all, n.element(ruleset.Bridge(set), ruleset.Key(ruleset.Interface(p.Interface), mac, a.AsSlice()), nil))
	}
	return all
}

func (n *Network) element(s *nftables.Set, key []byte, v *expr.Verdict) element {
	return element{Set: s, Value: nftables.SetElement{Key: key, VerdictData: v, Comment: n.config.Network}}
}

// ownElements returns what the kernel has of the network in the sets of tables, as keys
// alone.
func (n *Network) ownElements(c *nftables.Conn, present []ruleset.Table) ([]element, error) {
	var own []element
	for _, t := range present {
		for _, s := range t.Sets {
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

// linkLocal is the address that the kernel gives an interface with that MAC
// address (RFC 4291, appendix A).
func linkLocal(mac []byte) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	return netip.AddrFrom16(a)
}
