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
// late, for they will soon. The kernel answers the request
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
	if err := unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.RTNLGRP_IPV6_IFADDR); err != nil {
		return fmt.Errorf("watch addresses: %w", err)
	}
	defer func() {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, unix.RTNLGRP_IPV6_IFADDR)
	}()
	settle := func(m syscall.NetlinkMessage) {
		if address, ok := newAddress(m); ok {
			delete(pending, address)
		}
	}
	if err := s.run(steps, settle); err != nil {
		return err
	}
	for deadline := time.Now().Add(settleTime); len(pending) > 0; {
		there, err := s.await(deadline)
		if err != nil || !there {
			return err
		}
		if err := s.receive(messageSize, settle); err != nil {
			return err
		}
	}
	return nil
}

// await waits until there is something to receive, or returns false at the deadline.
func (s *Socket) await(deadline time.Time) (bool, error) {
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(max(0, left.Milliseconds())))
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
