// Package ports tells of the ports of a bridge as they come up. What happens to all
// other links does not wake the process.
package ports

import (
	"context"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/subscription"
)

// News is what the kernel tells of them; see Watch.
type News struct{ socket *subscription.Subscription }

// Watch begins to gather which ports of the bridge with that index get a carrier, in ns or
// where that is nil in the caller's namespace. Tell has to come to it.
func Watch(ns *netns.Namespace, bridge int) (News, error) {
	filter, err := carriers(bridge)
	if err != nil {
		return News{}, err
	}
	socket, err := rtnl.Subscribe(ns, filter, unix.RTNLGRP_LINK)
	if err != nil {
		return News{}, fmt.Errorf("watch ports of interface %d: %w", bridge, err)
	}
	return News{socket}, nil
}

// Tell calls up with each port that got a carrier since Watch, until ctx ends. One may be
// told of more than once. lost is called when some may have been left out.
func (n News) Tell(ctx context.Context, up func(name string, index int), lost func()) {
	first := true
	rtnl.Receive(ctx, n.socket, func(messages []syscall.NetlinkMessage) {
		if messages == nil && !first {
			lost()
		}
		first = false
		for _, m := range messages {
			if name, index, err := linkOf(m); err == nil {
				up(name, index)
			}
		}
	})
}
