package link

import (
	"context"
	"fmt"
	"syscall"

	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/subscription"
)

// WatchLinks calls changed once at the start and whenever an interface came,
// went or changed, until ctx ends. Several changes may be told by one call. An
// error means that the kernel does not tell.
func (h *Handle) WatchLinks(ctx context.Context, changed func()) error {
	socket, err := subscription.Open(h.ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	rtnl.Receive(ctx, socket, func([]syscall.NetlinkMessage) { changed() })
	return nil
}

// at is the namespace as sockets are opened in it.
func (h *Handle) at() vns.NsHandle {
	if h.ns == nil {
		return vns.None()
	}
	return vns.NsHandle(h.ns.FD())
}
