// Package overlaps tells what of the subnets of a network its host uses elsewhere.
package overlaps

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Watch reports what of the given subnets the host uses elsewhere than
// on one interface, one line each: now, and whenever that changes, until ctx
// ends. An error means that the kernel does not tell.
func Watch(ctx context.Context, links *link.Handle, except string, subnets []netip.Prefix, report func([]string)) error {
	lookout, err := Keep(links, hostnews.Place{}, subnets)
	if err != nil {
		return err
	}
	lookout.Watch(ctx, links, except, report)
	return nil
}

// Lookout gathers what the host comes to use, from when it is opened.
type Lookout struct {
	news    rtnl.News
	subnets []netip.Prefix
	clear   bool // nothing overlapped when it was opened
}

// Keep opens one for subnets that are in use. It hears by a listener where there is one.
func Keep(links *link.Handle, listener hostnews.Place, subnets []netip.Prefix) (*Lookout, error) {
	news, err := rtnl.WatchPrefixes(links.Namespace(), listener, subnets)
	if err != nil {
		return nil, fmt.Errorf("watch addresses and routes: %w", err)
	}
	return &Lookout{news: news, subnets: subnets}, nil
}

// Claim opens one for subnets that a network is about to use, if a listener knows that the host
// uses none of them; what comes later is for Watch. It returns the index of the interface of the
// host's default route too, 0 where there is none. Where the host uses some, or no listener
// knows, it is errors.ErrUnsupported: a survey tells.
func Claim(links *link.Handle, listener hostnews.Place, subnets []netip.Prefix) (l *Lookout, gateway int, err error) {
	news, answer, err := rtnl.AskPrefixes(links.Namespace(), listener, subnets)
	if err != nil {
		return nil, 0, err
	}
	l = &Lookout{news: news, subnets: subnets, clear: true}
	if !answer.Vacant {
		l.Close()
		return nil, 0, fmt.Errorf("subnets %v: are used in part: %w", subnets, errors.ErrUnsupported)
	}
	return l, answer.Gateway, nil
}

// LookOut opens one. With a survey after it and Narrow, a network that is made where nothing
// is in its way has looked at its host once: what comes later is for Watch. It hears by a
// listener where there is one.
func LookOut(links *link.Handle, listener hostnews.Place) (*Lookout, error) {
	news, err := rtnl.WatchAllPrefixes(links.Namespace(), listener)
	if err != nil {
		return nil, fmt.Errorf("watch addresses and routes: %w", err)
	}
	return &Lookout{news: news, clear: true}, nil
}

// Narrow says which subnets it is about. It comes soon: until then all of the host's news wake
// the process.
func (l *Lookout) Narrow(links *link.Handle, subnets []netip.Prefix) error {
	if err := l.news.Narrow(links.Namespace(), subnets); err != nil {
		return fmt.Errorf("watch addresses and routes: %w", err)
	}
	l.subnets = subnets
	return nil
}

// Close ends it, if Watch does not.
func (l *Lookout) Close() { l.news.Source.Close() }

// Watch is the function Watch by what the lookout has gathered and will.
func (l *Lookout) Watch(ctx context.Context, links *link.Handle, except string, report func([]string)) {
	w := watch{links: links, news: l.news, except: except, subnets: l.subnets, report: report}
	if l.clear {
		report(nil)
	} else {
		w.look(true)
	}
	rtnl.Follow(ctx, l.news.Source, w.changed)
}

// watch is a Watch that is under way.
type watch struct {
	links   *link.Handle
	news    rtnl.News
	except  string
	subnets []netip.Prefix
	report  func([]string)

	last    []string
	ofLinks bool // hears of links too
}

// changed looks again where the messages may tell of an overlap; none may tell of anything.
func (w *watch) changed(messages []syscall.NetlinkMessage) {
	if messages != nil && !w.ofLinks && !w.concern(messages) {
		return
	}
	w.look(false)
}

func (w *watch) concern(messages []syscall.NetlinkMessage) bool {
	own, err := w.links.Index(w.except)
	if err != nil {
		own = 0
	}
	return slices.ContainsFunc(messages, func(m syscall.NetlinkMessage) bool { return w.news.Concern(m, own) })
}

// look reports the overlaps if they are others than before, and hears of links as long as
// there are any.
func (w *watch) look(first bool) {
	now := overlaps(w.links, w.except, w.subnets)
	if overlap := len(now) > 0; overlap != w.ofLinks {
		if err := w.news.OfLinks(overlap); err != nil {
			w.report([]string{err.Error()})
			return
		}
		w.ofLinks, now = overlap, overlaps(w.links, w.except, w.subnets) // with what has happened until then
	}
	if first || !slices.Equal(now, w.last) {
		w.report(now)
	}
	w.last = now
}

// overlaps are those that there are now, one line each.
func overlaps(links *link.Handle, except string, subnets []netip.Prefix) []string {
	overlap := false
	_, err := links.EachUsed(except, func(p netip.Prefix) { overlap = overlap || slices.ContainsFunc(subnets, p.Overlaps) })
	if err == nil && !overlap {
		return nil
	}
	var uses []inspect.Use
	if err == nil {
		uses, err = links.Uses(except)
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
