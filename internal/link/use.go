package link

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Use is a prefix that the host uses, by an address of it or a route to it.
type Use struct {
	Interface string
	Prefix    netip.Prefix
	Address   netip.Addr // zero: by a route
}

// String reads like "address 10.0.0.5/24 of eth0".
func (u Use) String() string {
	if u.Address.IsValid() {
		return fmt.Sprintf("address %v of %s", netip.PrefixFrom(u.Address, u.Prefix.Bits()), u.Interface)
	}
	return fmt.Sprintf("route %v by %s", u.Prefix, u.Interface)
}

// Uses returns what the host uses by addresses and by routes of the main table,
// except on one interface. Default routes, link-local addresses and multicast
// are in nobody's way. A route that comes with an address is not told beside it.
func (h *Handle) Uses(except string) ([]Use, error) {
	addresses, err := h.Addresses()
	if err != nil {
		return nil, err
	}
	var all []Use
	for _, a := range addresses {
		if a.Interface != except && !a.Prefix.Addr().IsLinkLocalUnicast() {
			all = append(all, Use{Interface: a.Interface, Prefix: a.Prefix.Masked(), Address: a.Prefix.Addr()})
		}
	}
	routes, err := h.Routes()
	if err != nil {
		return nil, err
	}
	told := len(all)
	for _, r := range routes {
		local := r.Destination.Addr().IsLinkLocalUnicast() || r.Destination.Addr().IsMulticast()
		ofAddress := slices.ContainsFunc(all[:told], func(u Use) bool { return u.Interface == r.Interface && u.Prefix == r.Destination })
		if r.Interface != except && !r.Default() && !local && !ofAddress {
			all = append(all, Use{Interface: r.Interface, Prefix: r.Destination})
		}
	}
	return all, nil
}

// Prefixes returns those of uses.
func Prefixes(uses []Use) []netip.Prefix {
	out := make([]netip.Prefix, len(uses))
	for i, u := range uses {
		out[i] = u.Prefix
	}
	return out
}

// WatchOverlaps reports what of the given subnets the host uses elsewhere than
// on one interface, one line each: now, and whenever that changes, until ctx
// ends. An error means that the kernel does not tell.
func (h *Handle) WatchOverlaps(ctx context.Context, except string, subnets []netip.Prefix, report func([]string)) error {
	var last []string
	first := true
	look := func(messages []syscall.NetlinkMessage) {
		// The routes of a link that goes down go without a word, so while there is
		// an overlap all that happens to links may end it.
		if !first && messages != nil && len(last) == 0 && !slices.ContainsFunc(messages, concerns(subnets)) {
			return
		}
		now := h.overlaps(except, subnets)
		if first || !slices.Equal(now, last) {
			report(now)
		}
		first, last = false, now
	}
	groups := []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE}
	if err := h.watch(ctx, look, groups...); err != nil {
		return fmt.Errorf("watch addresses and routes: %w", err)
	}
	return nil
}

func (h *Handle) overlaps(except string, subnets []netip.Prefix) []string {
	uses, err := h.Uses(except)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, subnet := range subnets {
		for _, u := range uses {
			if u.Prefix.Overlaps(subnet) {
				lines = append(lines, fmt.Sprintf("subnet %v: the host has come to use it too: %v", subnet, u))
			}
		}
	}
	return lines
}

// concerns tells the messages that speak of a prefix which overlaps a subnet.
func concerns(subnets []netip.Prefix) func(syscall.NetlinkMessage) bool {
	return func(m syscall.NetlinkMessage) bool {
		p := rtnl.PrefixOf(m)
		return p.IsValid() && p.Bits() > 0 && slices.ContainsFunc(subnets, p.Overlaps)
	}
}
