package networks

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/resource"
)

// pinnedOrGiven returns the subnets that a network must get: those of its first
// start, else what the user gave. Zero ones are for the plugin to choose.
func pinnedOrGiven(r resource.StoredNetwork) resource.PinnedSubnets {
	want := r.Pinned
	if !want.IPv4.IsValid() {
		want.IPv4 = r.Configuration.IPv4Subnet
	}
	if !want.IPv6.IsValid() {
		want.IPv6 = r.Configuration.IPv6Subnet
	}
	return want
}

// overlapError says which subnet of a network is in another's way.
type overlapError struct {
	field  string
	prefix netip.Prefix
	other  string // network
	theirs netip.Prefix
	ours   bool // the plugin chose it, so that it may choose again
}

func (e *overlapError) Error() string {
	return fmt.Sprintf("%s %v: overlaps network %s (%v)", e.field, e.prefix, e.other, e.theirs)
}

func (e *overlapError) Unwrap() error { return errdefs.ErrFailedPrecondition }

// claim notes that a network is about to use the subnets of want, unless
// another one uses or is about to use them; all overlaps are reported. given
// are those of them that were not chosen by the plugin.
func (s *Service) claim(id, name string, want, given resource.PinnedSubnets) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claimLocked(id, name, want, given)
}

func (s *Service) claimLocked(id, name string, want, given resource.PinnedSubnets) error {
	var faults []error
	for other, c := range s.claims {
		if other == id {
			continue
		}
		if overlap(want.IPv4, c.subnets.IPv4) {
			faults = append(faults, &overlapError{"ipv4 subnet", want.IPv4, c.name, c.subnets.IPv4, !given.IPv4.IsValid()})
		}
		if overlap(want.IPv6, c.subnets.IPv6) {
			faults = append(faults, &overlapError{"ipv6 subnet", want.IPv6, c.name, c.subnets.IPv6, !given.IPv6.IsValid()})
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	s.claims[id] = claim{name, want}
	return nil
}

func overlap(a, b netip.Prefix) bool { return a.IsValid() && b.IsValid() && a.Overlaps(b) }

// used returns the prefixes that a network's plugin must keep off.
func (s *Service) used(id string) []*pluginv1.NetworkPrefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*pluginv1.NetworkPrefix
	for other, c := range s.claims {
		if other == id {
			continue
		}
		for _, p := range []netip.Prefix{c.subnets.IPv4, c.subnets.IPv6} {
			if p.IsValid() {
				out = append(out, &pluginv1.NetworkPrefix{Network: c.name, Prefix: p.String()})
			}
		}
	}
	return out
}

// reserve takes a name and the given subnets for a network that is being made;
// all that is in the way is reported at once.
func (s *Service) reserve(id, name string, given resource.PinnedSubnets) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var faults []error
	if s.names[name] {
		faults = append(faults, fmt.Errorf("network %s: exists already, want another name: %w", name, errdefs.ErrAlreadyExists))
	}
	if err := s.claimLocked(id, name, given, given); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		delete(s.claims, id)
		return err
	}
	s.names[name] = true
	return nil
}

// forget gives up what a network had taken.
func (s *Service) forget(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claims, id)
	delete(s.names, name)
	delete(s.networks, id)
}
