package link

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

// RoutingChange is one interface's routing as it is and as it is to be.
type RoutingChange struct {
	Interface string
	From, To  Routing
}

// None reports whether nothing changes.
func (c RoutingChange) None() bool {
	return slices.Equal(c.From.Addresses, c.To.Addresses) && slices.Equal(c.From.Main, c.To.Main) && slices.Equal(c.From.Own, c.To.Own)
}

// Reroute changes the routing of interfaces; addresses stay as they are. What is
// new is made before what is old is removed, and a destination in the main table
// goes from one interface to another in one step, so that no packet meets a
// gap. What is already as it is to be is no error.
func (h *Handle) Reroute(changes ...RoutingChange) error { return h.Rewire(nil, changes) }

// routingSteps are those of changes.
func (h *Handle) routingSteps(changes []RoutingChange) ([]rtnl.Step, error) {
	var tables, mains, removals []rtnl.Step
	for _, c := range changes {
		index, err := h.index(c.Interface)
		if err != nil {
			return nil, err
		}
		from, to := c.From.entries(c.Interface, index), c.To.entries(c.Interface, index)
		tables = append(tables, added(without(to.own, from.own))...)
		mains = append(mains, added(without(to.main, from.main))...)
		removals = append(removals, removed(without(from.main, to.main))...)
		removals = append(removals, removed(without(from.own, to.own))...)
	}
	return slices.Concat(tables, mains, removals), nil
}

// answering are the interfaces that begin to answer for their own addresses alone: they may have
// neighbours in another one's subnet.
func answering(changes []RoutingChange) []string {
	own4 := func(r Routing) bool {
		return slices.ContainsFunc(r.Own, func(r resource.Route) bool { return r.Destination.Addr().Is4() })
	}
	var several []string
	for _, c := range changes {
		if own4(c.To) && !own4(c.From) {
			several = append(several, c.Interface)
		}
	}
	return several
}

// routingEntry is a route or a rule, comparable.
type routingEntry struct {
	family int
	index  int // of the interface; 0: a rule, or a route to nowhere
	table  int
	route  resource.Route // of a route
	rule   bool
	source netip.Addr // of a rule: packets from there
	bound  string     // of a rule: packets of sockets bound to this interface
}

// routingEntries are a routing in the order in which it is made: a table first,
// then what leads to it.
type routingEntries struct{ main, own []routingEntry }

func (r Routing) entries(name string, index int) routingEntries {
	var e routingEntries
	for _, route := range r.Main {
		e.main = append(e.main, routingEntry{family: rtnl.FamilyOf(route.Destination.Addr()), index: index, table: unix.RT_TABLE_MAIN, route: route})
	}
	table := firstOwnTable + index
	defaults := map[int]bool{}
	for _, route := range r.Own {
		family := rtnl.FamilyOf(route.Destination.Addr())
		defaults[family] = defaults[family] || route.Destination.Bits() == 0
		e.own = append(e.own, routingEntry{family: family, index: index, table: table, route: route})
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		hasDefault, has := defaults[family]
		if !has {
			continue
		}
		if !hasDefault {
			e.own = append(e.own, routingEntry{family: family, table: table})
		}
		for _, a := range r.Addresses {
			if rtnl.FamilyOf(a.Addr()) == family {
				e.own = append(e.own, routingEntry{family: family, table: table, rule: true, source: a.Addr()})
			}
		}
		e.own = append(e.own, routingEntry{family: family, table: table, rule: true, bound: name})
	}
	return e
}

// without returns the entries of all that are not in others.
func without(all, others []routingEntry) []routingEntry {
	return slices.DeleteFunc(slices.Clone(all), func(e routingEntry) bool { return slices.Contains(others, e) })
}

func added(entries []routingEntry) []rtnl.Step {
	var steps []rtnl.Step
	for _, e := range entries {
		kind, flags := unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE
		if e.rule {
			kind, flags = unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL
		}
		steps = append(steps, rtnl.Step{Request: e.message(rtnl.Request(kind, flags)), What: e.String(), Done: unix.EEXIST})
	}
	return steps
}

// removed removes in the opposite order. A route that another interface has
// taken over is not there any more.
func removed(entries []routingEntry) []rtnl.Step {
	var steps []rtnl.Step
	for _, e := range slices.Backward(entries) {
		kind, done := unix.RTM_DELROUTE, unix.ESRCH
		if e.rule {
			kind, done = unix.RTM_DELRULE, unix.ENOENT
		}
		steps = append(steps, rtnl.Step{Request: e.message(rtnl.Request(kind, 0)), What: "remove " + e.String(), Done: done})
	}
	return steps
}

func (e routingEntry) message(req *nl.NetlinkRequest) *nl.NetlinkRequest {
	switch {
	case e.rule:
		return rtnl.RuleMessage(req, rtnl.Rule{Family: e.family, Source: e.source, Bound: e.bound, Priority: ownRulePriority, Table: e.table})
	case e.index == 0:
		return rtnl.NowhereMessage(req, e.family, e.table, lastResort)
	}
	return rtnl.RouteMessage(req, e.index, e.table, e.route)
}

// String says what the entry is, for errors.
func (e routingEntry) String() string {
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
