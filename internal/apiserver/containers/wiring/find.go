package wiring

import (
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
	"patchbay.dev/patchbay/resource"
)

// Names finds networks.
type Names interface {
	// Resolve returns the network of a name or id; errdefs.ErrNotFound names
	// what there is.
	Resolve(name string) (resource.Network, error)
}

// Find returns the place of the attachment of a container that a word means: a
// network or an interface.
func Find(known Names, c leases.Container, word string) (int, error) {
	id := word
	n, err := known.Resolve(word)
	if err == nil {
		id = n.ID
	}
	var places []int
	var interfaces, networks []string
	for i, w := range c.Wishes {
		on := w.Network
		if n, err := known.Resolve(w.Network); err == nil {
			on = n.Name
		}
		networks = append(networks, on+" by "+w.InterfaceName)
		if w.Network == id || w.InterfaceName == word {
			places, interfaces = append(places, i), append(interfaces, w.InterfaceName)
		}
	}
	switch {
	case len(places) == 1:
		return places[0], nil
	case len(places) > 1:
		return 0, fault.New(errdefs.ErrInvalidArgument, "container %s: %q means more than one of its interfaces: want one of %s", c.Name, word, strings.Join(interfaces, ", "))
	case err != nil: // there is no such network at all
		return 0, err
	case len(networks) == 0:
		return 0, fault.New(errdefs.ErrNotFound, "container %s: is not on network %s: it is on none", c.Name, n.Name)
	}
	return 0, fault.New(errdefs.ErrNotFound, "container %s: is not on network %s: it is on %s", c.Name, n.Name, strings.Join(networks, ", "))
}
