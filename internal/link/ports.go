package link

import (
	"context"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// PortNews is what the kernel tells of the ports of a bridge; see WatchPorts.
type PortNews struct{ socket *nl.NetlinkSocket }

// WatchPorts begins to gather which ports of the bridge get a carrier. Tell has to
// come to it.
func (h *Handle) WatchPorts(bridge string) (PortNews, error) {
	l, err := h.byName(bridge)
	if err != nil {
		return PortNews{}, err
	}
	socket, err := rtnl.WatchPorts(h.at(), l.Attrs().Index)
	if err != nil {
		return PortNews{}, fmt.Errorf("watch ports of %s: %w", bridge, err)
	}
	return PortNews{socket}, nil
}

// Tell calls up with each port that got a carrier since WatchPorts, until ctx ends. One may
// be told of more than once. lost is called when some may have been left out.
func (n PortNews) Tell(ctx context.Context, up func(name string, index int), lost func()) {
	first := true
	rtnl.Receive(ctx, n.socket, func(messages []syscall.NetlinkMessage) {
		if messages == nil && !first {
			lost()
		}
		first = false
		for _, m := range messages {
			if name, index, err := rtnl.LinkOf(m); err == nil {
				up(name, index)
			}
		}
	})
}
