// Package inside gives the interfaces of a sandbox, in its network namespace or in
// the guest of a virtual machine, what their plans say.
package inside

import (
	"maps"
	"slices"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/sandbox"
)

// Configure gives interfaces that are there and down what their plans say, and
// sets them up. The handle is on their namespace.
func Configure(h *link.Handle, interfaces ...sandbox.Interface) error {
	for _, i := range interfaces {
		if err := h.Configure(i.Name, i.Addresses, i.Routes, sysctls(i)...); err != nil {
			return err
		}
	}
	return h.Reroute(ownTables(interfaces)...)
}

// sysctls are the settings that somebody asked for.
func sysctls(i sandbox.Interface) []link.Sysctl {
	var all []link.Sysctl
	for _, key := range slices.Sorted(maps.Keys(i.Sysctls)) {
		all = append(all, link.Sysctl{Key: key, Value: i.Sysctls[key]})
	}
	return all
}

// ownTables are the routes that interfaces get beside those of the main table.
func ownTables(interfaces []sandbox.Interface) []link.RoutingChange {
	var changes []link.RoutingChange
	for _, i := range interfaces {
		if len(i.OwnRoutes) > 0 {
			changes = append(changes, link.RoutingChange{
				Interface: i.Name,
				From:      link.Routing{Addresses: i.Addresses, Main: i.Routes},
				To:        link.Routing{Addresses: i.Addresses, Main: i.Routes, Own: i.OwnRoutes},
			})
		}
	}
	return changes
}
