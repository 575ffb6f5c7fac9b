// Package strangers remembers addresses that neighbours may know with another MAC address
// than the one that belongs to them.
package strangers

import (
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
)

// most bounds what is remembered: beyond it, every address is a stranger.
const most = 1 << 12

// Set is the strangers of one network, in a file. It is not safe for concurrent use.
type Set struct {
	path string
	all  map[netip.Addr]bool
}

// Open returns the set in a file; without one there are none.
func Open(path string) (*Set, error) {
	s := &Set{path: path, all: map[netip.Addr]bool{}}
	if err := atomicfile.ReadJSON(path, &s.all); err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}
	return s, nil
}

// Add makes addresses strangers, and writes it down unless they are.
func (s *Set) Add(addresses ...netip.Addr) error {
	more := false
	for _, a := range addresses {
		if !s.Has(a) {
			s.all[a], more = true, true
		}
	}
	if !more {
		return nil
	}
	return atomicfile.WriteJSON(s.path, s.all, 0o600)
}

// Has tells whether an address is one.
func (s *Set) Has(a netip.Addr) bool { return s.all[a] || len(s.all) > most }

// Clear forgets all, and removes the file.
func (s *Set) Clear() error {
	clear(s.all)
	return atomicfile.Remove(s.path)
}
