// Package ports tells of the ports of a bridge as they come up. What happens to all
// other links does not wake the process.
package ports

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/subscription"
)

// News is what the kernel tells of them; see Watch.
type News struct{ socket *subscription.Subscription }

// Watch is about the ports of the bridge with that index, in ns or where that is nil in the
// caller's namespace. Tell has to come to it. Nothing is gathered before Gather.
func Watch(ns *netns.Namespace, bridge int) (News, error) {
	filter, err := carriers(bridge)
	if err != nil {
		return News{}, err
	}
	socket, err := rtnl.Subscribe(ns, filter)
	if err != nil {
		return News{}, fmt.Errorf("watch ports of interface %d: %w", bridge, err)
	}
	return News{socket}, nil
}

// Gather begins to gather which ports get a carrier, or ends it. The kernel goes through all
// who gather anything, of all namespaces, each time that something happens to any
// link, address or route: with a thousand of them that takes longer than what happened.
func (n News) Gather(on bool) error {
	change := n.socket.Leave
	if on {
		change = n.socket.Join
	}
	if err := change(unix.RTNLGRP_LINK); err != nil && !errors.Is(err, os.ErrClosed) { // Tell has ended
		return fmt.Errorf("watch ports: %w", err)
	}
	return nil
}

// Tell calls up with each port that got a carrier while news were gathered, until ctx ends. One may be
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
