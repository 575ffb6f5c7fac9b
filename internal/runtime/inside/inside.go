// Package inside gives the interfaces of a sandbox, in its network namespace or in
// the guest of a virtual machine, what their plans say.
package inside

import (
	"maps"
	"slices"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/routing"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
)

// Origin says of an interface whether it was born in the sandbox's namespace after
// sysctl.PrepareNamespace.
type Origin func(wiring.Interface) bool

// Elsewhere is the origin of interfaces that were brought.
func Elsewhere(wiring.Interface) bool { return false }

// Configure gives interfaces that are there and down what their plans say, and
// sets them up. The handle is on their namespace.
func Configure(h *link.Handle, born Origin, interfaces ...wiring.Interface) error {
	return h.Rewire(configurations(interfaces, born, true), ownTables(interfaces))
}

// configurations are what interfaces get: with routes, or addresses alone.
func configurations(interfaces []wiring.Interface, born Origin, routes bool) []link.Configuration {
	all := make([]link.Configuration, len(interfaces))
	for place, i := range interfaces {
		all[place] = link.Configuration{Interface: i.Name, Addresses: i.Addresses, Sysctls: sysctls(i), Born: born(i)}
		if routes {
			all[place].Routes = i.Routes
		}
		if port, is := i.Link.(wiring.BridgePort); is { // with the planned one
			all[place].MAC, all[place].Familiar = i.MAC, port.Familiar
		}
	}
	return all
}

// ownTables are the routes that interfaces get beside those of the main table.
func ownTables(interfaces []wiring.Interface) []routing.Change {
	var changes []routing.Change
	for _, i := range interfaces {
		if len(i.OwnRoutes) > 0 {
			to := planned(i, interfaces)
			changes = append(changes, routing.Change{Interface: i.Name, From: routing.Routing{Addresses: to.Addresses, Main: to.Main}, To: to})
		}
	}
	return changes
}

// sysctls are the settings that somebody asked for.
func sysctls(i wiring.Interface) []sysctl.Interface {
	var all []sysctl.Interface
	for _, key := range slices.Sorted(maps.Keys(i.Sysctls)) {
		all = append(all, sysctl.Interface{Key: key, Value: i.Sysctls[key]})
	}
	return all
}

// Rewire sets interfaces that are there and down up, with their addresses, and changes the
// routes of all interfaces from those of one plan to those of
// another. Those that are in one of them only have no routes in the other one;
// those that are not there are left out. The handle is on their namespace.
func Rewire(h *link.Handle, born Origin, from, to []wiring.Interface, added ...wiring.Interface) error {
	var changes []routing.Change
	for _, i := range slices.Concat(from, Without(to, from)) {
		change := routing.Change{Interface: i.Name, From: planned(i, from), To: planned(i, to)}
		if change.None() {
			continue
		}
		there, err := h.Has(i.Name)
		if err != nil {
			return err
		}
		if there {
			changes = append(changes, change)
		}
	}
	return h.Rewire(configurations(added, born, false), changes)
}

// planned is the routing of an interface in a plan; if it is not in it, without routes.
func planned(i wiring.Interface, plan []wiring.Interface) routing.Routing {
	for _, p := range plan {
		if p.Name == i.Name {
			return routing.Routing{Addresses: p.Addresses, Main: p.Routes, Own: p.OwnRoutes}
		}
	}
	return routing.Routing{Addresses: i.Addresses}
}

// Without are the interfaces of one plan whose names another one lacks.
func Without(plan, other []wiring.Interface) []wiring.Interface {
	return slices.DeleteFunc(slices.Clone(plan), func(i wiring.Interface) bool {
		return slices.ContainsFunc(other, func(o wiring.Interface) bool { return o.Name == i.Name })
	})
}
