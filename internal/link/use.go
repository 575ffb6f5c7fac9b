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
	w := overlapWatch{links: h, news: news, except: except, subnets: subnets, report: report}
	w.look(true)
	rtnl.Follow(ctx, news.Socket, w.changed)
	return nil
}

// Lookout gathers what the host comes to use, from when it is opened.
type Lookout struct {
	news    rtnl.News
	subnets []netip.Prefix
}

// LookOut opens one. With a Survey after it and Narrow, a network that is made where nothing
// is in its way has looked at its host once: what comes later is for Watch.
func (h *Handle) LookOut() (*Lookout, error) {
	news, err := rtnl.WatchAllPrefixes(h.ns)
	if err != nil {
		return nil, fmt.Errorf("watch addresses and routes: %w", err)
	}
	return &Lookout{news: news}, nil
}

// Narrow says which subnets it is about. It comes soon: until then all of the host's news wake
// the process.
func (l *Lookout) Narrow(subnets []netip.Prefix) error {
	if err := l.news.Narrow(subnets); err != nil {
		return fmt.Errorf("watch addresses and routes: %w", err)
	}
	l.subnets = subnets
	return nil
}

// Close ends it, if Watch does not.
func (l *Lookout) Close() { l.news.Socket.Close() }

// Watch is WatchOverlaps where nothing overlapped when the lookout was opened.
func (l *Lookout) Watch(ctx context.Context, links *Handle, except string, report func([]string)) {
	w := overlapWatch{links: links, news: l.news, except: except, subnets: l.subnets, report: report}
	report(nil)
	rtnl.Follow(ctx, l.news.Socket, w.changed)
}

// overlapWatch is a WatchOverlaps that is under way.
type overlapWatch struct {
	links   *Handle
	news    rtnl.News
	except  string
	subnets []netip.Prefix
	report  func([]string)

	last    []string
	ofLinks bool // hears of links too
}

// changed looks again where the messages may tell of an overlap; none may tell of anything.
func (w *overlapWatch) changed(messages []syscall.NetlinkMessage) {
	if messages != nil && !w.ofLinks && !w.concern(messages) {
		return
	}
	w.look(false)
}

func (w *overlapWatch) concern(messages []syscall.NetlinkMessage) bool {
	own, err := w.links.index(w.except)
	if err != nil {
		own = 0
	}
	return slices.ContainsFunc(messages, func(m syscall.NetlinkMessage) bool { return w.news.Concern(m, own) })
}

// look reports the overlaps if they are others than before, and hears of links as long as
// there are any.
func (w *overlapWatch) look(first bool) {
	now := w.links.overlaps(w.except, w.subnets)
	if overlap := len(now) > 0; overlap != w.ofLinks {
		if err := w.news.OfLinks(overlap); err != nil {
			w.report([]string{err.Error()})
			return
		}
		w.ofLinks, now = overlap, w.links.overlaps(w.except, w.subnets) // with what has happened until then
	}
	if first || !slices.Equal(now, w.last) {
		w.report(now)
	}
	w.last = now
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
