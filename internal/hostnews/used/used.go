// Package used knows what addresses and routes a host has, by a listing of them and by what
// the kernel tells from then on.
package used

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Table has at least the prefixes that are in use. What comes to be used is told of in any
// case; what ends is not always, as the routes of a link that goes down, so that a table may
// have too much. It is not safe for concurrent use.
type Table struct {
	// list goes through all that there is now.
	list     func(take func(rtnl.Listed)) error
	prefixes map[netip.Prefix]struct{} // nil: not known
	listed   int                       // prefixes that the last listing had
	gateway  int                       // index of the interface of the first default route; 0: none
}

// New returns a table that is listed when it is asked for the first time. What list goes
// through has happened before that returns, and what happens meanwhile is heard.
func New(list func(take func(rtnl.Listed)) error) *Table { return &Table{list: list} }

// maxStale is how many prefixes a table may have that nobody uses, beside as many as were
// listed.
const maxStale = 4096

// Hear takes in what the kernel tells.
func (t *Table) Hear(messages []syscall.NetlinkMessage) {
	for _, m := range messages {
		rtnl.EachListed(m, func(l rtnl.Listed) { t.hear(m.Header.Type, l) })
	}
	if len(t.prefixes) > 2*t.listed+maxStale {
		t.Forget()
	}
}

func (t *Table) hear(kind uint16, l rtnl.Listed) {
	switch {
	case t.prefixes == nil:
	case l.Default(), l.Index == t.gateway: // whatever it is, another one may be the first
		t.Forget()
	case kind == unix.RTM_NEWADDR, kind == unix.RTM_NEWROUTE:
		t.prefixes[l.Prefix.Masked()] = struct{}{}
	}
}

// Forget has it listed anew when it is asked again: something was not heard.
func (t *Table) Forget() { t.prefixes = nil }

// Vacant reports whether the host uses nothing that overlaps one of the prefixes, and the
// index of the interface of its first default route, 0 where there is none.
func (t *Table) Vacant(wanted []netip.Prefix) (vacant bool, gateway int, err error) {
	if t.prefixes != nil && !t.overlaps(wanted) {
		return true, t.gateway, nil
	}
	if err := t.learn(); err != nil {
		return false, 0, err
	}
	return !t.overlaps(wanted), t.gateway, nil
}

func (t *Table) overlaps(wanted []netip.Prefix) bool {
	for p := range t.prefixes {
		for _, w := range wanted {
			if p.Overlaps(w) {
				return true
			}
		}
	}
	return false
}

func (t *Table) learn() error {
	prefixes, gateway := map[netip.Prefix]struct{}{}, 0
	err := t.list(func(l rtnl.Listed) {
		switch {
		case !l.Default():
			prefixes[l.Prefix.Masked()] = struct{}{}
		case gateway == 0:
			gateway = l.Index
		}
	})
	t.prefixes, t.listed, t.gateway = nil, 0, 0
	if err == nil {
		t.prefixes, t.listed, t.gateway = prefixes, len(prefixes), gateway
	}
	return err
}
