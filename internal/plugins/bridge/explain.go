package bridge

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/networkplugin"
)

var _ networkplugin.Explainer = (*Network)(nil)

// Explain says what the packet filter does to a packet. Tables of others are
// not looked at.
func (n *Network) Explain(_ context.Context, p networkplugin.Port, destination netip.Addr) (networkplugin.Verdict, error) {
	links, err := n.open()
	if err != nil {
		return networkplugin.Verdict{}, err
	}
	route, err := links.RouteTo(destination, netip.Addr{})
	if err != nil && !errdefs.IsNotFound(err) {
		return networkplugin.Verdict{}, err
	}
	n.mu.Lock()
	own := slices.ContainsFunc(n.spec.Addresses, func(a netip.Prefix) bool { return a.Addr() == destination })
	n.mu.Unlock()
	return n.verdict(p, packet{destination: destination, bridge: own, route: route, noRoute: err != nil}), nil
}

// packet is what the host knows of a packet that a port sends.
type packet struct {
	destination netip.Addr
	bridge      bool // it is an address of the network's bridge
	route       inspect.PacketRoute
	noRoute     bool // the host has none
}

func (n *Network) verdict(p networkplugin.Port, to packet) networkplugin.Verdict {
	verdict := func(answer, format string, args ...any) networkplugin.Verdict {
		return networkplugin.Verdict{Answer: answer, Why: fmt.Sprintf(format, args...)}
	}
	a := p.Attachment
	switch {
	case to.destination.IsLoopback():
		return verdict(networkplugin.Dropped, "loopback addresses of the host are reached by the host alone")
	case to.bridge || !to.noRoute && to.route.Local:
		answer, why := n.hostVerdict(to.bridge)
		return verdict(answer, "%s", why)
	case a.IPv4Address.Masked().Contains(to.destination), a.IPv6Address.Masked().Contains(to.destination):
		return verdict(networkplugin.Accepted, "a neighbour; port %s may send from its own MAC and IP addresses; %s", n.portName(p.Key), n.way(p))
	case n.reach == firewall.Internal:
		return verdict(networkplugin.Dropped, "the network is internal: nothing is forwarded from its bridge")
	case to.noRoute:
		return verdict(networkplugin.Dropped, "the host has no route to it")
	case strings.HasPrefix(to.route.Interface, bridgePrefix):
		return verdict(networkplugin.Dropped, "it is behind %s, the bridge of another network: networks are isolated from one another", to.route.Interface)
	}
	return verdict(networkplugin.Accepted+", under the host's address", "the network is nat: it leaves by %s of the host; rules of others, which may drop it, are not looked at", to.route.Interface)
}

// hostVerdict is that for an address of the host, of the network's own bridge or
// elsewhere.
func (n *Network) hostVerdict(bridge bool) (answer, why string) {
	const option = "option " + optionHostAccess
	switch {
	case n.access == firewall.HostAll:
		return networkplugin.Accepted, "an address of the host; " + option + " is all"
	case n.access == firewall.HostGateway && bridge:
		return networkplugin.Accepted, "an address of the bridge; " + option + " is gateway"
	case bridge:
		return networkplugin.Dropped + ", but for pings", "an address of the bridge; " + option + " is none"
	}
	return networkplugin.Dropped, "an address of the host beyond the bridge's, which only " + option + "=all opens"
}

// way is that of packets of a port to neighbours.
func (n *Network) way(p networkplugin.Port) string {
	if on, why := n.short.carries(n.portName(p.Key)); !on {
		return "there is no fast path: " + why
	}
	return "TCP and UDP take the fast path"
}
