package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// WatchLinks calls changed once at the start and whenever an interface came,
// went or changed, until ctx ends. Several changes may be told by one call. An
// error means that the kernel does not tell.
func (h *Handle) WatchLinks(ctx context.Context, changed func()) error {
	at := vns.None()
	if h.ns != nil {
		at = vns.NsHandle(h.ns.FD())
	}
	socket, err := nl.SubscribeAt(at, vns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	stop := context.AfterFunc(ctx, socket.Close)
	defer stop()
	changed()
	for ctx.Err() == nil {
		_, _, err := socket.Receive()
		// ENOBUFS: there were more messages than room, so something changed.
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			break
		}
		if ctx.Err() == nil {
			changed()
		}
	}
	return nil
}
