package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// settleTime bounds the wait for the kernel to finish with new addresses, which
// takes it less than a millisecond unless the machine is very busy.
const settleTime = 2 * time.Second

// RunSettled is Run for steps that make addresses, and waits until those of IPv6 work, or
// late, for they will soon. The socket is one of OpenToSettle. The kernel answers the request
// for a new address before the interface listens to it; that comes from a work
// queue, with a notification (addrconf_dad_completed), even where no
// duplicate address detection runs. A neighbour that asks in between gets no
// answer, and asks again a second later.
func (s *Socket) RunSettled(steps []Step, addresses []netip.Prefix) error {
	pending := map[netip.Addr]bool{}
	for _, a := range addresses {
		if a.Addr().Is6() {
			pending[a.Addr()] = true
		}
	}
	if len(pending) == 0 {
		return s.Run(steps)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The container may have so much told of its addresses that there is no room for more: on a socket of their own they
	// take none from the answers.
	if s.news < 0 {
		if err := open(nil, &s.news); err != nil {
			return fmt.Errorf("watch addresses: %w", err)
		}
	}
	if err := unix.SetsockoptInt(s.news, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.RTNLGRP_IPV6_IFADDR); err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	defer s.forgetNews()
	if err := s.run(steps); err != nil {
		return err
	}
	settle := func(m syscall.NetlinkMessage) {
		if address, ok := newAddress(m); ok {
			delete(pending, address)
		}
	}
	for deadline := time.Now().Add(settleTime); len(pending) > 0; {
		there, err := s.await(deadline)
		if err != nil || !there {
			return err
		}
		err = s.receive(s.news, messageSize, settle)
		if errors.Is(err, unix.ENOBUFS) {
			return nil // the news may be among what was lost
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetNews ends the subscription, and takes away what it has left.
func (s *Socket) forgetNews() {
	_ = unix.SetsockoptInt(s.news, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, unix.RTNLGRP_IPV6_IFADDR)
	for {
		_, _, err := unix.Recvfrom(s.news, nil, unix.MSG_DONTWAIT)
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			return
		}
	}
}

// await waits until there are news, or returns false at the deadline.
func (s *Socket) await(deadline time.Time) (bool, error) {
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.news), Events: unix.POLLIN}}, int(max(0, left.Milliseconds())))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, fmt.Errorf("netlink: wait: %w", err)
		}
		return n > 0, nil
	}
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
