// Command toy is a network plugin in a module of its own: the example for
// authors. Its networks are plain Linux bridges, on which containers reach each
// other and nothing else. In the variant "flat" it says what the runtime is to make, in
// "own" it makes the interfaces of containers itself.
//
// To try it, build it and put it beside its manifest where patchbayd looks for
// plugins; no daemon has to be told or restarted:
//
//	go build -o /etc/patchbay/plugins/toy/bin/toy .
//	cp plugin.toml /etc/patchbay/plugins/toy/
//	patchbay network create toys --plugin toy
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// One process serves one network. Addresses, leases, names, state and the wire
// are the business of networkplugin.
func main() {
	networkplugin.Main(networkplugin.Plugin{Name: "toy", Version: "1.0.0", New: newToy})
}

// toy is one network.
type toy struct {
	id     string
	bridge string // host interface
}

var (
	_ networkplugin.Network  = (*toy)(nil)
	_ networkplugin.Delegate = (*toy)(nil)
)

// newToy checks the configuration and touches nothing yet.
func newToy(c networkplugin.Configuration) (networkplugin.Network, error) {
	var err error
	if c.Variant != "flat" && c.Variant != "own" { // one for each [variants.*] of the manifest
		err = fmt.Errorf("variant %q: want \"flat\" or \"own\": %w", c.Variant, errdefs.ErrInvalidArgument)
	}
	if err := errors.Join(err, networkplugin.RefuseUnknown(c.Options)); err != nil {
		return nil, err
	}
	return &toy{id: c.ID, bridge: name("toyb", c.ID)}, nil
}

// name makes the name of a host interface, which has at most 15 bytes, the same
// for the same parts: so nothing has to be remembered.
func name(prefix string, parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return fmt.Sprintf("%s%x", prefix, sum)[:15]
}

// Start makes the bridge, or adopts it when it is there already.
func (n *toy) Start(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	occupied, err := n.occupied()
	if err != nil {
		return networkplugin.Realization{}, err
	}
	v4, v6, err := networkplugin.ChooseSubnets(c, occupied)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	mtu := c.MTU
	if mtu == 0 {
		mtu = 1500
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = n.bridge, mtu
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
		return networkplugin.Realization{}, fmt.Errorf("bridge %s: %w", n.bridge, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return networkplugin.Realization{}, fmt.Errorf("bridge %s: %w", n.bridge, err)
	}
	// No gateways: containers get no default route by this network.
	return networkplugin.Realization{IPv4Subnet: v4, IPv6Subnet: v6, MTU: mtu}, nil
}

// occupied lists the prefixes that the host uses: a chosen subnet avoids them.
func (n *toy) occupied() ([]netip.Prefix, error) {
	routes, err := list(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("routes of the host: %w", err)
	}
	var out []netip.Prefix
	for _, r := range routes {
		if prefix, ok := prefixOf(r.Dst); ok && !prefix.Addr().IsLinkLocalUnicast() && !prefix.Addr().IsMulticast() {
			out = append(out, prefix)
		}
	}
	return out, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil { // a default route
		return netip.Prefix{}, false
	}
	address, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(address.Unmap(), bits), ok
}

// Plan answers with the parameters of the strategy that the manifest names for "flat";
// for "own" nobody reads them. It touches nothing: the runtime makes the port.
func (n *toy) Plan(p networkplugin.Port, options map[string]string) (any, error) {
	return resource.BridgePortParameters{Bridge: n.bridge, Port: n.port(p)}, networkplugin.RefuseUnknown(options)
}

func (n *toy) port(p networkplugin.Port) string { return name("toyp", n.id, p.Key) }

// Admit has nothing to do: a toy trusts its containers.
func (n *toy) Admit(context.Context, networkplugin.Port) error { return nil }

// Expel removes the host's end of the port, so that no left-over process can
// use addresses that somebody else gets next.
func (n *toy) Expel(_ context.Context, p networkplugin.Port) error { return remove(n.port(p)) }

// Stop leaves the bridge to the next process, or removes it.
func (n *toy) Stop(_ context.Context, gone bool) error {
	if !gone {
		return nil
	}
	return remove(n.bridge)
}

// remove deletes a host interface; one that is not there is removed already.
func remove(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !notThere(err) {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	return nil
}
