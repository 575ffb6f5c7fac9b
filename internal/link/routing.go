package link

import (
	"slices"

	"patchbay.dev/patchbay/internal/link/routing"
	"patchbay.dev/patchbay/internal/link/rtnl"
)

// Reroute changes the routing of interfaces; addresses stay as they are. What is
// new is made before what is old is removed, and a destination in the main table
// goes from one interface to another in one step, so that no packet meets a
// gap. What is already as it is to be is no error.
func (h *Handle) Reroute(changes ...routing.Change) error { return h.Rewire(nil, changes) }

// routingSteps are those of changes.
func (h *Handle) routingSteps(changes []routing.Change) ([]rtnl.Step, error) {
	var tables, mains, removals []rtnl.Step
	for _, c := range changes {
		index, err := h.Index(c.Interface)
		if err != nil {
			return nil, err
		}
		own, main, old := c.Steps(index)
		tables, mains, removals = append(tables, own...), append(mains, main...), append(removals, old...)
	}
	return slices.Concat(tables, mains, removals), nil
}
