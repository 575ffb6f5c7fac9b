package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// settleTime bounds the wait for the kernel to finish with new addresses, which
// takes it less than a millisecond unless the machine is very busy.
const settleTime = 2 * time.Second

// Settling waits for IPv6 addresses to work. The kernel answers the request
// for a new address before the interface listens to it; that comes from a work
// queue, with a notification (addrconf_dad_completed), even where no
// duplicate address detection runs. A neighbour that asks in between gets no
// answer, and asks again a second later.
type Settling struct {
	socket  *nl.NetlinkSocket
	pending map[netip.Addr]bool
}

// WatchSettling is called before the addresses are made, in a namespace or, without
// one, that of the calling thread.
func WatchSettling(at vns.NsHandle, addresses []netip.Prefix) (*Settling, error) {
	pending := map[netip.Addr]bool{}
	for _, a := range addresses {
		if a.Addr().Is6() {
			pending[a.Addr()] = true
		}
	}
	if len(pending) == 0 {
		return &Settling{}, nil
	}
	socket, err := nl.SubscribeAt(at, vns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("watch addresses: %w", err)
	}
	return &Settling{socket: socket, pending: pending}, nil
}

// Close ends it.
func (s *Settling) Close() {
	if s.socket != nil {
		s.socket.Close()
	}
}

// Wait returns when all addresses work, or late, for they will soon.
func (s *Settling) Wait() error {
	deadline := time.Now().Add(settleTime)
	for len(s.pending) > 0 {
		left := unix.NsecToTimeval(max(time.Until(deadline), time.Microsecond).Nanoseconds())
		if err := s.socket.SetReceiveTimeout(&left); err != nil {
			return fmt.Errorf("watch addresses: %w", err)
		}
		messages, _, err := s.socket.Receive()
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch addresses: %w", err)
		}
		for _, m := range messages {
			if address, ok := newAddress(m); ok {
				delete(s.pending, address)
			}
		}
	}
	return nil
}

// newAddress returns the address that a message tells of.
func newAddress(m syscall.NetlinkMessage) (netip.Addr, bool) {
	if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg {
		return netip.Addr{}, false
	}
	attributes, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.IFA_ADDRESS {
			return netip.AddrFromSlice(a.Value)
		}
	}
	return netip.Addr{}, false
}
