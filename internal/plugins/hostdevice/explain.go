package hostdevice

import (
	"context"
	"fmt"
	"net/netip"

	"patchbay.dev/patchbay/networkplugin"
)

var _ networkplugin.Explainer = (*Network)(nil)

// Explain says that nothing of the host is in between.
func (n *Network) Explain(context.Context, networkplugin.Port, netip.Addr) (networkplugin.Verdict, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return networkplugin.Verdict{
		Answer: networkplugin.NotFiltered,
		Why:    fmt.Sprintf("interface %s of the host is in the container: the host's packet filter is not in the way", n.name),
	}, nil
}
