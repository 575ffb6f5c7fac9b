// Package routing says what an interface adds to the routing of its namespace, and what
// becomes of one of it into another. It changes nothing.
package routing

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/resource"
)

const (
	// firstOwnTable and an interface's index make the number of its own table.
	// It is above those that have a name (rt_tables of ip-route(8)).
	firstOwnTable = 1000
	// ownRulePriority is before the main table's rule (32766), after the local
	// table's (0).
	ownRulePriority = 1000
	// lastResort is the metric of a route that stands behind all others.
	lastResort = math.MaxUint32
)

// Routing is what one interface adds to the routing of its namespace.
type Routing struct {
	Addresses []netip.Prefix
	// Main are routes of the main table beside those that come with the
	// addresses.
	Main []resource.Route
	// Own are all routes of the interface's own table. Rules lead packets
	// there that come from its addresses, or from sockets that are bound to it.
	// A family in it without default route leads nowhere else. None: there is
	// no own table.
	Own []resource.Route
}

// Change is one interface's routing as it is and as it is to be.
type Change struct {
	Interface string
	From, To  Routing
}

// None reports whether nothing changes.
func (c Change) None() bool {
	return slices.Equal(c.From.Addresses, c.To.Addresses) && slices.Equal(c.From.Main, c.To.Main) && slices.Equal(c.From.Own, c.To.Own)
}

// Steps are what makes of one routing another: what is new in own tables, what is new in
// the main one, and what goes, in this order. index is that of the interface.
func (c Change) Steps(index int) (tables, mains, removals []rtnl.Step) {
	from, to := c.From.entries(c.Interface, index), c.To.entries(c.Interface, index)
	removals = slices.Concat(removed(without(from.main, to.main)), removed(without(from.own, to.own)))
	return added(without(to.own, from.own)), added(without(to.main, from.main)), removals
}

// BeginsToAnswer reports whether the interface gets an own table of IPv4: it may have
// neighbours in another one's subnet from then on, and is to answer for its own addresses alone.
func (c Change) BeginsToAnswer() bool { return c.To.own4() && !c.From.own4() }

func (r Routing) own4() bool {
	return slices.ContainsFunc(r.Own, func(r resource.Route) bool { return r.Destination.Addr().Is4() })
}

// entry is a route or a rule, comparable.
type entry struct {
	family int
	index  int // of the interface; 0: a rule, or a route to nowhere
	table  int
	route  resource.Route // of a route
	rule   bool
	source netip.Addr // of a rule: packets from there
	bound  string     // of a rule: packets of sockets bound to this interface
}

// parts are a routing in the order in which it is made: a table first,
// then what leads to it.
type parts struct{ main, own []entry }

func (r Routing) entries(name string, index int) parts {
	const beside = 8 // rules and last routes of a table with two addresses of each family
	e := parts{main: make([]entry, 0, len(r.Main))}
	if len(r.Own) > 0 {
		e.own = make([]entry, 0, len(r.Own)+beside)
	}
	for _, route := range r.Main {
		e.main = append(e.main, entry{family: rtnl.FamilyOf(route.Destination.Addr()), index: index, table: unix.RT_TABLE_MAIN, route: route})
	}
	table := firstOwnTable + index
	defaults := map[int]bool{}
	for _, route := range r.Own {
		family := rtnl.FamilyOf(route.Destination.Addr())
		defaults[family] = defaults[family] || route.Destination.Bits() == 0
		e.own = append(e.own, entry{family: family, index: index, table: table, route: route})
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		hasDefault, has := defaults[family]
		if !has {
			continue
		}
		if !hasDefault {
			e.own = append(e.own, entry{family: family, table: table})
		}
		for _, a := range r.Addresses {
			if rtnl.FamilyOf(a.Addr()) == family {
				e.own = append(e.own, entry{family: family, table: table, rule: true, source: a.Addr()})
			}
		}
		e.own = append(e.own, entry{family: family, table: table, rule: true, bound: name})
	}
	return e
}

// without returns the entries of all that are not in others.
func without(all, others []entry) []entry {
	if len(others) == 0 { // as of what is new
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return slices.Contains(others, e) })
}

func added(entries []entry) []rtnl.Step {
	steps := make([]rtnl.Step, len(entries))
	for i := range entries {
		e := &entries[i]
		kind, flags := unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE
		if e.rule {
			kind, flags = unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL
		}
		steps[i] = rtnl.Step{Request: e.message(rtnl.Request(kind, flags)), What: e.String, Done: unix.EEXIST}
	}
	return steps
}

// removed removes in the opposite order. A route that another interface has
// taken over is not there any more.
func removed(entries []entry) []rtnl.Step {
	steps := make([]rtnl.Step, 0, len(entries))
	for i := range slices.Backward(entries) {
		e := &entries[i]
		kind, done := unix.RTM_DELROUTE, unix.ESRCH
		if e.rule {
			kind, done = unix.RTM_DELRULE, unix.ENOENT
		}
		what := func() string { return "remove " + e.String() }
		steps = append(steps, rtnl.Step{Request: e.message(rtnl.Request(kind, 0)), What: what, Done: done})
	}
	return steps
}

func (e *entry) message(req *nl.NetlinkRequest) *nl.NetlinkRequest {
	switch {
	case e.rule:
		return rtnl.RuleMessage(req, rtnl.Rule{Family: e.family, Source: e.source, Bound: e.bound, Priority: ownRulePriority, Table: e.table})
	case e.index == 0:
		return rtnl.NowhereMessage(req, e.family, e.table, lastResort)
	}
	return rtnl.RouteMessage(req, e.index, e.table, e.route)
}

// String says what the entry is, for errors.
func (e *entry) String() string {
	switch {
	case e.bound != "":
		return fmt.Sprintf("rule for sockets bound to %s", e.bound)
	case e.rule:
		return fmt.Sprintf("rule for packets from %s", e.source)
	case e.index == 0:
		return fmt.Sprintf("last route of table %d", e.table)
	}
	return fmt.Sprintf("route to %s in table %d", e.route.Destination, e.table)
}
