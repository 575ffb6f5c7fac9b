package rtnl

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/sockfilter"
	"patchbay.dev/patchbay/internal/subscription"
)

// Receive calls changed with the messages of a subscription until ctx ends: with none
// at the start, and when there were more than there was room for. It closes the
// socket.
func Receive(ctx context.Context, socket *subscription.Subscription, changed func([]syscall.NetlinkMessage)) {
	changed(nil)
	Follow(ctx, socket, changed)
}

// Follow is Receive for who knows how things were when the subscription began.
func Follow(ctx context.Context, socket *subscription.Subscription, changed func([]syscall.NetlinkMessage)) {
	stop := context.AfterFunc(ctx, socket.Close)
	defer stop()
	for ctx.Err() == nil {
		messages, err := socket.Receive()
		// ENOBUFS: there were more messages than room, so something changed.
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			break
		}
		if ctx.Err() == nil {
			changed(messages)
		}
	}
}

var groupsOfPrefixes = []int{unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE}

// News is what the kernel tells of addresses and routes in some subnets.
type News struct {
	Socket  *subscription.Subscription
	subnets []netip.Prefix
	filter  sockfilter.Filter
}

// WatchPrefixes subscribes to it, in a namespace or, where that is nil, the caller's. What
// happens to other networks' subnets and to all ports does not wake the process.
func WatchPrefixes(ns *netns.Namespace, subnets []netip.Prefix) (News, error) {
	filter, err := FilterPrefixes(subnets)
	if err != nil {
		return News{}, err
	}
	socket, err := Subscribe(ns, filter, groupsOfPrefixes...)
	if err != nil {
		return News{}, err
	}
	return News{socket, subnets, filter}, nil
}

// WatchAllPrefixes is WatchPrefixes for who does not know the subnets yet, until Narrow.
func WatchAllPrefixes(ns *netns.Namespace) (News, error) {
	socket, err := subscription.Open(ns, unix.NETLINK_ROUTE, groupsOfPrefixes...)
	return News{Socket: socket}, err
}

// Narrow leaves of the news those in some subnets.
func (n *News) Narrow(subnets []netip.Prefix) error {
	filter, err := FilterPrefixes(subnets)
	if err != nil {
		return err
	}
	n.subnets, n.filter = subnets, filter
	return n.Socket.Filter(filter)
}

// Subscribe receives of groups what passes a filter, and nothing else from the beginning.
func Subscribe(ns *netns.Namespace, filter sockfilter.Filter, groups ...int) (*subscription.Subscription, error) {
	socket, err := subscription.Open(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	err = socket.Filter(filter)
	for _, group := range groups {
		if err == nil {
			err = socket.Join(group)
		}
	}
	if err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// Concern tells the messages that speak of a prefix which overlaps a subnet, elsewhere than on
// the interface with an index, 0 for none.
func (n News) Concern(m syscall.NetlinkMessage, except int) bool {
	p, index := prefixOf(m)
	elsewhere := except == 0 || index != except
	return elsewhere && p.IsValid() && p.Bits() > 0 && slices.ContainsFunc(n.subnets, p.Overlaps)
}

// OfLinks adds all that happens to links, or takes it away again. The routes of a
// link that goes down go without a word, so while there is an overlap any of it may
// end that.
func (n News) OfLinks(on bool) error {
	if !on {
		return errors.Join(n.Socket.Leave(unix.RTNLGRP_LINK), n.Socket.Filter(n.filter))
	}
	return errors.Join(n.Socket.Unfilter(), n.Socket.Join(unix.RTNLGRP_LINK))
}
