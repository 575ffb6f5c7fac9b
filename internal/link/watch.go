package link

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// WatchLinks calls changed once at the start and whenever an interface came,
// went or changed, until ctx ends. Several changes may be told by one call. An
// error means that the kernel does not tell.
func (h *Handle) WatchLinks(ctx context.Context, changed func()) error {
	if err := h.watch(ctx, func([]syscall.NetlinkMessage) { changed() }, unix.RTNLGRP_LINK); err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	return nil
}

// watch calls changed with the messages of the kernel's groups (rtnetlink(7))
// until ctx ends: with none at the start, and when there were more than there
// was room for.
func (h *Handle) watch(ctx context.Context, changed func([]syscall.NetlinkMessage), groups ...uint) error {
	at := vns.None()
	if h.ns != nil {
		at = vns.NsHandle(h.ns.FD())
	}
	socket, err := nl.SubscribeAt(at, vns.None(), unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, socket.Close)
	defer stop()
	changed(nil)
	for ctx.Err() == nil {
		messages, _, err := socket.Receive()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		// ENOBUFS: there were more messages than room, so something changed.
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			break
		}
		if ctx.Err() == nil {
			changed(messages)
		}
	}
	return nil
}
