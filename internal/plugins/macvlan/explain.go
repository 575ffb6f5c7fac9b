package macvlan

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

var _ networkplugin.Explainer = (*Network)(nil)

// Explain says what the kernel does to a packet: the host's packet filter never
// sees it.
func (n *Network) Explain(_ context.Context, p networkplugin.Port, destination netip.Addr) (networkplugin.Verdict, error) {
	links, err := link.Open(n.host)
	if err != nil {
		return networkplugin.Verdict{}, err
	}
	defer links.Close()
	route, err := links.RouteTo(destination, netip.Addr{})
	if err != nil && !errdefs.IsNotFound(err) {
		return networkplugin.Verdict{}, err
	}
	return n.verdict(p, destination, err == nil && route.Local), nil
}

func (n *Network) verdict(p networkplugin.Port, destination netip.Addr, host bool) networkplugin.Verdict {
	parent, _ := n.place()
	a := p.Attachment
	near := a.IPv4Address.Masked().Contains(destination) || a.IPv6Address.Masked().Contains(destination)
	switch {
	case host && near:
		return networkplugin.Verdict{
			Answer: networkplugin.Dropped,
			Why:    fmt.Sprintf("an address of the host on parent %s: the kernel carries nothing between a macvlan and its parent", parent),
		}
	case near && n.mode != resource.MacvlanBridge:
		return networkplugin.Verdict{
			Answer: networkplugin.NotFiltered,
			Why:    fmt.Sprintf("the LAN of parent %s; other containers on that parent are not reached, the network is %s", parent, n.mode),
		}
	}
	return networkplugin.Verdict{
		Answer: networkplugin.NotFiltered,
		Why:    fmt.Sprintf("frames go to the LAN of parent %s without passing the host's packet filter", parent),
	}
}
