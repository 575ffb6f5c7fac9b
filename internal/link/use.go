package link

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

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
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	return h.uses(except, names)
}

func (h *Handle) uses(except string, names naming) ([]Use, error) {
	addresses, err := h.addresses(names)
	if err != nil {
		return nil, err
	}
	var all []Use
	for _, a := range addresses {
		if a.Interface != except && !a.Prefix.Addr().IsLinkLocalUnicast() {
			all = append(all, Use{Interface: a.Interface, Prefix: a.Prefix.Masked(), Address: a.Prefix.Addr()})
		}
	}
	routes, err := h.routes(names)
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

// WatchOverlaps reports what of the given subnets the host uses elsewhere than
// on one interface, one line each: now, and whenever that changes, until ctx
// ends. An error means that the kernel does not tell.
func (h *Handle) WatchOverlaps(ctx context.Context, except string, subnets []netip.Prefix, report func([]string)) error {
	news, err := rtnl.WatchPrefixes(h.ns, subnets)
	if err != nil {
		return fmt.Errorf("watch addresses and routes: %w", err)
	}
	var last []string
	first, ofLinks := true, false
	look := func(messages []syscall.NetlinkMessage) {
		if !first && messages != nil && !ofLinks && !slices.ContainsFunc(messages, news.Concern) {
			return
		}
		now := h.overlaps(except, subnets)
		if overlap := len(now) > 0; overlap != ofLinks {
			if err := news.OfLinks(overlap); err != nil {
				report([]string{err.Error()})
				return
			}
			ofLinks, now = overlap, h.overlaps(except, subnets) // with what has happened until then
		}
		if first || !slices.Equal(now, last) {
			report(now)
		}
		first, last = false, now
	}
	rtnl.Receive(ctx, news.Socket, look)
	return nil
}

func (h *Handle) overlaps(except string, subnets []netip.Prefix) []string {
	overlap := false
	_, err := h.eachUsed(except, func(p netip.Prefix) { overlap = overlap || slices.ContainsFunc(subnets, p.Overlaps) })
	if err == nil && !overlap {
		return nil
	}
	var uses []Use
	if err == nil {
		uses, err = h.Uses(except)
	}
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
