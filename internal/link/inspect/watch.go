package inspect

import (
	"context"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/subscription"
)

// WatchLinks calls changed once at the start and whenever an interface came,
// went or changed, until ctx ends. Several changes may be told by one call. An
// error means that the kernel does not tell.
func (r *Reader) WatchLinks(ctx context.Context, changed func()) error {
	socket, err := subscription.Open(r.ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	rtnl.Receive(ctx, socket, func([]syscall.NetlinkMessage) { changed() })
	return nil
}
