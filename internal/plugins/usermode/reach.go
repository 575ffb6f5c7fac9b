package usermode

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/networkplugin"
)

// Prefixes that mean no machine, or one near the host alone (RFC 6890), beside those that
// netip.Addr knows: the sockets of the plugin would reach what containers of other
// networks do not.
var unreachable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("240.0.0.0/4"), // and the broadcast address
	netip.MustParsePrefix("::ffff:0:0/96"),
}

// reach says by which address of the host's network the plugin reaches what a
// container sends to, or why it does not (errdefs.ErrPermissionDenied, or
// errdefs.ErrNotFound without a route).
func (n *Network) reach(run *running, to netip.Addr) (netip.Addr, error) {
	refused := func(format string, args ...any) (netip.Addr, error) {
		return netip.Addr{}, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdefs.ErrPermissionDenied)
	}
	switch {
	case slices.Contains(run.gateways, to):
		if n.access == hostNone {
			return refused("the gateway's address has no services; option %s is none", optionHostAccess)
		}
		return loopback(to), nil
	case slices.ContainsFunc(run.subnets, func(p netip.Prefix) bool { return p.Contains(to) }):
		return refused("a neighbour, which is not reached by the gateway")
	case special(to):
		return refused("an address that means no machine beyond the network")
	}
	outlet, err := run.links.OutletTo(to)
	switch {
	case err != nil:
		return netip.Addr{}, err
	case outlet.Local && n.access != hostAll:
		return refused("an address of the host, which only option %s=all opens", optionHostAccess)
	case !outlet.Unicast:
		return refused("an address for more than one machine")
	case strings.HasPrefix(outlet.Alias, link.OwnerAlias("")):
		return refused("it is behind %s, the bridge of another network: networks are isolated from one another", outlet.Interface)
	}
	return to, nil
}

func loopback(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

func special(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsInterfaceLocalMulticast() ||
		slices.ContainsFunc(unreachable, func(p netip.Prefix) bool { return p.Contains(a) })
}

var _ networkplugin.Explainer = (*Network)(nil)

// Explain says what the switch and the router do to a packet.
func (n *Network) Explain(_ context.Context, p networkplugin.Port, destination netip.Addr) (networkplugin.Verdict, error) {
	run, err := n.started()
	if err != nil {
		return networkplugin.Verdict{}, err
	}
	a := p.Attachment
	if !slices.Contains(run.gateways, destination) &&
		(a.IPv4Address.Masked().Contains(destination) || a.IPv6Address.Masked().Contains(destination)) {
		return networkplugin.Verdict{
			Answer: networkplugin.Accepted,
			Why:    "a neighbour; the port may send from its own MAC and IP addresses",
		}, nil
	}
	if !n.router {
		return networkplugin.Verdict{Answer: networkplugin.Dropped, Why: "the network is internal: it has no router"}, nil
	}
	target, err := n.reach(run, destination)
	if err != nil {
		return n.refusal(run, destination, err)
	}
	why := "TCP, UDP and pings go on by sockets of the plugin's process"
	if target != destination {
		why = fmt.Sprintf("the gateway stands for %v of the host; option %s is %s", target, optionHostAccess, n.access)
	}
	return networkplugin.Verdict{Answer: networkplugin.Accepted + ", under the host's address", Why: why}, nil
}

// refusal is the verdict for an address that is not reached, as far as that is the
// network's doing.
func (n *Network) refusal(run *running, destination netip.Addr, err error) (networkplugin.Verdict, error) {
	answer := networkplugin.Dropped
	switch {
	case errdefs.IsNotFound(err):
		return networkplugin.Verdict{Answer: answer, Why: "the host has no route to it"}, nil
	case !errdefs.IsPermissionDenied(err):
		return networkplugin.Verdict{}, err
	case slices.Contains(run.gateways, destination):
		answer += ", but for pings"
	}
	return networkplugin.Verdict{Answer: answer, Why: strings.TrimSuffix(err.Error(), ": "+errdefs.ErrPermissionDenied.Error())}, nil
}
