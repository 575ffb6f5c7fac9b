// Package addresses tells of the addresses of the host as they come and go. What happens to
// those of most bridges of containers does not wake the process.
package addresses

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/subscription"
)

// News is what the kernel tells of them; see Watch.
type News struct {
	socket *subscription.Subscription
	ns     *netns.Namespace
}

// Watch begins to gather which addresses come and go, in ns or where that is nil in the
// caller's namespace. Tell has to come to it. Nothing is told of link-local and loopback
// addresses, of unique-local IPv6 ones, and of IPv4 ones of interfaces whose names begin with
// the three letters of except.
func Watch(ns *netns.Namespace, except string) (News, error) {
	filter, err := global(except)
	if err != nil {
		return News{}, err
	}
	socket, err := rtnl.Subscribe(ns, filter, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return News{}, fmt.Errorf("watch addresses: %w", err)
	}
	return News{socket, ns}, nil
}

// Tell calls all with the addresses that there are, at first and when news were lost, and else
// changed with each that came or went, until ctx ends. Of all, those of excepted interfaces are
// a part. Where they cannot be listed, all gets the error.
func (n News) Tell(ctx context.Context, all func([]netip.Addr, error), changed func(a netip.Addr, here bool)) {
	rtnl.Receive(ctx, n.socket, func(messages []syscall.NetlinkMessage) {
		if messages == nil {
			all(n.list())
		}
		for _, m := range messages {
			if a := rtnl.AddressOf(m); a.IsValid() {
				changed(a, m.Header.Type == unix.RTM_NEWADDR)
			}
		}
	})
}

func (n News) list() ([]netip.Addr, error) {
	socket, err := rtnl.Open(n.ns)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	defer socket.Close()
	listed, err := socket.Addresses(0)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var all []netip.Addr
	for _, l := range listed {
		a := l.Prefix.Addr()
		local := a.IsLoopback() || a.IsLinkLocalUnicast() || a.Is6() && a.IsPrivate()
		if !local {
			all = append(all, a)
		}
	}
	return all, nil
}
