package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall/connection"
	"patchbay.dev/patchbay/internal/firewall/flows"
	"patchbay.dev/patchbay/internal/firewall/ruleset"
	"patchbay.dev/patchbay/resource"
)

// Forward is a port of the host whose packets go to another address and port.
type Forward struct {
	Protocol string         // resource.ProtocolTCP or ProtocolUDP
	Host     netip.AddrPort // unspecified address: all of the host's of its family
	Target   netip.AddrPort // of the same family
}

// Publish forwards these and no other ports for an owner, any word that names
// them for Unpublish. Whoever has a socket on a port owns it: an element that is
// left of another owner, of another network too, is replaced.
func (n *Network) Publish(owner string, forwards []Forward) error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	before := n.published[owner]
	n.published[owner] = slices.Clone(forwards)
	n.mu.Unlock()
	gone := slices.DeleteFunc(slices.Clone(before), func(f Forward) bool { return slices.Contains(forwards, f) })
	err := errors.Join(n.withdraw(gone), n.forward(forwards))
	if errors.Is(err, unix.ENOENT) { // flushed, and not healed yet
		err = n.ensure()
	}
	if err != nil {
		return fmt.Errorf("nftables: publish ports: %w", kindOf(err))
	}
	return n.forgetFlows(slices.Concat(gone, forwards))
}

// Unpublish forwards no port of the owner any more. Ports that another owner has
// by now stay his.
func (n *Network) Unpublish(owner string) error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	gone := n.published[owner]
	delete(n.published, owner)
	n.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	if err := n.withdraw(gone); err != nil {
		return fmt.Errorf("nftables: unpublish ports: %w", kindOf(err))
	}
	return n.forgetFlows(gone)
}

// forgetFlows makes the kernel decide anew where the datagrams of a forwarded port
// go: for as long as a client keeps sending, it would go on as before the port
// was published, or to the container that had it before. TCP needs none of
// that: each connection is decided by itself.
func (n *Network) forgetFlows(changed []Forward) error {
	var hosts []netip.AddrPort
	for _, f := range changed {
		if f.Protocol == resource.ProtocolUDP {
			hosts = append(hosts, f.Host)
		}
	}
	if len(hosts) == 0 {
		return nil
	}
	err := n.kernel.Flows(func(handle *netlink.Handle) error { return flows.Forget(handle, hosts) })
	if errors.Is(err, unix.EINVAL) || ruleset.Unsupported(err) {
		n.config.Log.Warn("flows of published udp ports go on as before", "missing", "module nf_conntrack_netlink", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("conntrack: forget flows of published ports: %w", kindOf(err))
	}
	return nil
}

// forward adds the elements, at once unless one of them is taken.
func (n *Network) forward(all []Forward) error {
	if len(all) == 0 {
		return nil
	}
	err := n.addForwards(all)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	for i := range all {
		err := n.addForwards(all[i : i+1])
		if errors.Is(err, unix.EEXIST) {
			err = n.replaceForward(all[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) addForwards(all []Forward) error { return n.kernel.Add(n.forwardElements(all)) }

// replaceForward adds the element in the place of another owner's.
func (n *Network) replaceForward(f Forward) error {
	return n.kernel.Tables(func(c *nftables.Conn) error {
		e := n.forwardElement(f)
		if err := c.SetDeleteElements(e.Set, []nftables.SetElement{{Key: e.Value.Key}}); err != nil {
			return err
		}
		return connection.Add(c, []element{e})
	})
}

// withdraw removes the elements. A port that now leads elsewhere (EEXIST) is another
// owner's, and is left alone.
func (n *Network) withdraw(all []Forward) error {
	if len(all) == 0 {
		return nil
	}
	err := n.removeForwards(all)
	if errors.Is(err, unix.EEXIST) {
		err = nil
		for i := range all {
			if one := n.removeForwards(all[i : i+1]); !errors.Is(one, unix.EEXIST) {
				err = errors.Join(err, one)
			}
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return nil // no table, no forwarding
	}
	n.whole = n.whole && err == nil
	return err
}

func (n *Network) removeForwards(all []Forward) error { return n.kernel.Cancel(n.forwardElements(all)) }

func (n *Network) forwardElements(all []Forward) []element {
	out := make([]element, len(all))
	for i, f := range all {
		out[i] = n.forwardElement(f)
	}
	return out
}

func (n *Network) forwardElement(f Forward) element {
	return element{Set: ruleset.Inet(f.set()), Value: nftables.SetElement{
		Key: f.key(), Val: ruleset.Key(f.Target.Addr().AsSlice(), ruleset.Number(f.Target.Port())), Comment: n.config.Network,
	}}
}

// mapsOfForwards are the maps that forwards are in.
var mapsOfForwards = []string{ruleset.MapPublished4, ruleset.MapPublished6, ruleset.MapPublishedAt4, ruleset.MapPublishedAt6}

func (f Forward) set() string {
	switch a := f.Host.Addr(); {
	case a.Is4() && a.IsUnspecified():
		return ruleset.MapPublished4
	case a.IsUnspecified():
		return ruleset.MapPublished6
	case a.Is4():
		return ruleset.MapPublishedAt4
	}
	return ruleset.MapPublishedAt6
}

func (f Forward) key() []byte {
	var address []byte
	if !f.Host.Addr().IsUnspecified() {
		address = f.Host.Addr().AsSlice()
	}
	return ruleset.Key([]byte{f.protocolNumber()}, address, ruleset.Number(f.Host.Port()))
}

func (f Forward) protocolNumber() byte {
	if f.Protocol == resource.ProtocolUDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// forwardOf is the reverse of forwardElement.
func forwardOf(set string, e nftables.SetElement) (Forward, bool) {
	f, ok1 := hostOf(set, e.Key)
	target, ok2 := addrPortOf(e.Val)
	f.Target = target
	return f, ok1 && ok2
}

// hostOf is the reverse of set and key: a forward without a target.
func hostOf(set string, key []byte) (Forward, bool) {
	const protocolLength = 4 // padded
	if len(key) < protocolLength {
		return Forward{}, false
	}
	f := Forward{Protocol: resource.ProtocolTCP}
	if key[0] == unix.IPPROTO_UDP {
		f.Protocol = resource.ProtocolUDP
	}
	address := key[protocolLength:]
	switch set {
	case ruleset.MapPublished4:
		address = slices.Concat(netip.IPv4Unspecified().AsSlice(), address)
	case ruleset.MapPublished6:
		address = slices.Concat(netip.IPv6Unspecified().AsSlice(), address)
	}
	host, ok := addrPortOf(address)
	f.Host = host
	return f, ok
}

// addrPortOf takes an address and a port, padded to 4 bytes, apart.
func addrPortOf(b []byte) (netip.AddrPort, bool) {
	const portLength = 4 // padded
	if len(b) < portLength {
		return netip.AddrPort{}, false
	}
	at := len(b) - portLength
	a, ok := netip.AddrFromSlice(b[:at])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[at:])), ok
}

// adopt takes over what an earlier process published for ports that live; the
// owner of each is the port whose address it leads to.
func (n *Network) adopt(live []Port) error {
	owners := map[netip.Addr]string{}
	for _, p := range live {
		for _, a := range p.Addresses {
			owners[a] = p.Interface
		}
	}
	// Nobody else changes what is the network's: what was seen once is there, whatever a later
	// look has missed.
	found := map[Forward]string{}
	err := n.kernel.Settled(func(c *nftables.Conn) error {
		for _, name := range mapsOfForwards {
			all, err := c.GetSetElements(ruleset.Inet(name))
			if err != nil {
				return err
			}
			for _, e := range all {
				f, ok := forwardOf(name, e)
				if owner := owners[f.Target.Addr()]; ok && owner != "" && e.Comment == n.config.Network {
					found[f] = owner
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	published := map[string][]Forward{}
	for f, owner := range found {
		published[owner] = append(published[owner], f)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.published = published
	return nil
}

// forwards are all that the network should have.
func (n *Network) forwards() []Forward {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Concat(slices.Collect(maps.Values(n.published))...)
}

// Publishes reports whether the network forwards any port.
func (n *Network) Publishes() bool { return len(n.forwards()) > 0 }

// restoreForwards adds what is missing. What leads elsewhere stays: it is another
// owner's by now.
func (n *Network) restoreForwards() error {
	all := n.forwards()
	if len(all) == 0 {
		return nil
	}
	err := n.addForwards(all)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	for i := range all {
		if err := n.addForwards(all[i : i+1]); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// isForward reports whether the key of a map's element is of a port that should be
// forwarded.
func (n *Network) isForward(set string, key []byte) bool {
	wanted, ok := hostOf(set, key)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, all := range n.published {
		if ok && slices.ContainsFunc(all, func(f Forward) bool { return f.Protocol == wanted.Protocol && f.Host == wanted.Host }) {
			return true
		}
	}
	return false
}
