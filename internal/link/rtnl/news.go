package rtnl

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/sockfilter"
	"patchbay.dev/patchbay/internal/subscription"
)

// Receiver is a subscription.Subscription or what takes its place.
type Receiver interface {
	Receive() ([]syscall.NetlinkMessage, error)
	Close()
}

// Receive calls changed with the messages of a subscription until ctx ends: with none
// at the start, and when there were more than there was room for. It closes the
// socket.
func Receive(ctx context.Context, socket Receiver, changed func([]syscall.NetlinkMessage)) {
	changed(nil)
	Follow(ctx, socket, changed)
}

// Follow is Receive for who knows how things were when the subscription began.
func Follow(ctx context.Context, socket Receiver, changed func([]syscall.NetlinkMessage)) {
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

// GroupsOfPrefixes are those that tell of addresses and routes.
func GroupsOfPrefixes() []int { return groupsOfPrefixes }

var groupsOfPrefixes = []int{unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE}

// News is what the kernel tells of addresses and routes in some subnets.
type News struct {
	Source  *hostnews.Source
	subnets []netip.Prefix
	filter  sockfilter.Filter
}

// WatchPrefixes subscribes to it, in a namespace or, where that is nil, the caller's, where a
// listener may hear for it. What happens to other networks' subnets and to all ports does not
// wake the process.
func WatchPrefixes(ns *netns.Namespace, listener hostnews.Place, subnets []netip.Prefix) (News, error) {
	n := News{subnets: subnets}
	var err error
	if n.filter, err = FilterPrefixes(subnets); err != nil {
		return News{}, err
	}
	n.Source, err = hostnews.Open(listener, hostnews.Interest{Prefixes: subnets}, n.direct(ns))
	return n, err
}

// AskPrefixes is WatchPrefixes by a listener, which says whether the host used any of the subnets
// before. Without one that knows it is errors.ErrUnsupported.
func AskPrefixes(ns *netns.Namespace, listener hostnews.Place, subnets []netip.Prefix) (News, hostnews.Answer, error) {
	n := News{subnets: subnets}
	var err error
	if n.filter, err = FilterPrefixes(subnets); err != nil {
		return News{}, hostnews.Answer{}, err
	}
	var answer hostnews.Answer
	n.Source, answer, err = hostnews.Ask(listener, hostnews.Interest{Prefixes: subnets}, n.direct(ns))
	return n, answer, err
}

// direct subscribes without a listener.
func (n *News) direct(ns *netns.Namespace) func() (*subscription.Subscription, error) {
	filter := n.filter
	return func() (*subscription.Subscription, error) { return Subscribe(ns, filter, groupsOfPrefixes...) }
}

// WatchAllPrefixes is WatchPrefixes for who does not know the subnets yet, until Narrow.
func WatchAllPrefixes(ns *netns.Namespace, listener hostnews.Place) (News, error) {
	all := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	source, err := hostnews.Open(listener, hostnews.Interest{Prefixes: all}, func() (*subscription.Subscription, error) {
		return subscription.Open(ns, unix.NETLINK_ROUTE, groupsOfPrefixes...)
	})
	return News{Source: source}, err
}

// Narrow leaves of the news those in some subnets; ns is that of WatchAllPrefixes.
func (n *News) Narrow(ns *netns.Namespace, subnets []netip.Prefix) error {
	filter, err := FilterPrefixes(subnets)
	if err != nil {
		return err
	}
	n.subnets, n.filter = subnets, filter
	return n.Source.Narrow(hostnews.Interest{Prefixes: subnets}, n.direct(ns),
		func(own *subscription.Subscription) error { return own.Filter(filter) })
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
	p, index := PrefixOf(m)
	elsewhere := except == 0 || index != except
	return elsewhere && p.IsValid() && p.Bits() > 0 && slices.ContainsFunc(n.subnets, p.Overlaps)
}

// OfLinks adds all that happens to links, or takes it away again. The routes of a
// link that goes down go without a word, so while there is an overlap any of it may
// end that. No listener hears of links; the caller looks after it.
func (n News) OfLinks(on bool) error {
	own, err := n.Source.Own()
	switch {
	case err != nil:
		return err
	case on:
		return errors.Join(own.Unfilter(), own.Join(unix.RTNLGRP_LINK))
	}
	return errors.Join(own.Leave(unix.RTNLGRP_LINK), own.Filter(n.filter))
}
