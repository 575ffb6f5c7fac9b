// Package index finds containers by their names and ids.
package index

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
	"patchbay.dev/patchbay/resource"
)

// Entry is one container.
type Entry interface {
	comparable
	Described() resource.Metadata // always the same
	Hidden() bool                 // not to be found by users
}

// Index has containers. Each has an id and a name of its own. It is not safe for
// concurrent use.
type Index[E Entry] struct {
	byID, byName map[string]E
}

// New returns an empty index.
func New[E Entry]() Index[E] {
	return Index[E]{map[string]E{}, map[string]E{}}
}

// Add enters a container. One whose name or id is another's is errdefs.ErrAlreadyExists.
func (x Index[E]) Add(e E) error {
	m := e.Described()
	if other, ok := x.byName[m.Name]; ok {
		return fault.New(errdefs.ErrAlreadyExists, "container name %q: is that of container %s, want another, or delete that one", m.Name, other.Described().ID)
	}
	if other, ok := x.byID[m.ID]; ok {
		return fault.New(errdefs.ErrAlreadyExists, "container id %s: is that of container %s, want another", m.ID, other.Described().Name)
	}
	x.Put(e)
	return nil
}

// Put enters a container, by its name in the place of any that has it.
func (x Index[E]) Put(e E) {
	m := e.Described()
	x.byID[m.ID], x.byName[m.Name] = e, e
}

// Remove takes a container out.
func (x Index[E]) Remove(e E) {
	delete(x.byID, e.Described().ID)
	delete(x.byName, e.Described().Name)
}

// Has reports whether a container is still in the index.
func (x Index[E]) Has(e E) bool { return x.byID[e.Described().ID] == e }

// ByID returns the container of an id, hidden or not; the zero value if there is none.
func (x Index[E]) ByID(id string) E { return x.byID[id] }

// IsTaken reports whether a name is that of a container, hidden or not.
func (x Index[E]) IsTaken(name string) bool {
	_, ok := x.byName[name]
	return ok
}

// All returns the containers, hidden or not, in no order.
func (x Index[E]) All() iter.Seq[E] { return maps.Values(x.byID) }

// Find returns the container of a name, an id or a unique prefix of an id; names win.
func (x Index[E]) Find(name string) (found E, err error) {
	for _, exact := range []map[string]E{x.byName, x.byID} {
		if e, ok := exact[name]; ok && !e.Hidden() {
			return e, nil
		}
	}
	n := 0
	for id, e := range x.byID {
		if resource.IsIDPrefix(name, id) && !e.Hidden() {
			found = e
			n++
		}
	}
	switch n {
	case 1:
		return found, nil
	case 0:
		return found, fault.New(errdefs.ErrNotFound, "container %q: not found", name)
	}
	return found, fault.New(errdefs.ErrInvalidArgument, "container %q: is the start of %d ids, want more digits", name, n)
}

// Sorted returns those that are not hidden by age, the youngest first.
func (x Index[E]) Sorted() []E {
	out := make([]E, 0, len(x.byID))
	for _, e := range x.byID {
		if !e.Hidden() {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b E) int {
		one, other := a.Described(), b.Described()
		return cmp.Or(other.CreatedAt.Compare(one.CreatedAt), strings.Compare(one.ID, other.ID))
	})
	return out
}
