// Package addressing keeps what networks use of the address space, so that no
// two of them clash, and fits their routes into what their plugins made.
package addressing

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

// Wanted returns the subnets that a network must get: those of its first
// start, else what the user gave. Zero ones are for the plugin to choose.
func Wanted(r resource.StoredNetwork) resource.PinnedSubnets {
	want := r.Pinned
	if !want.IPv4.IsValid() {
		want.IPv4 = r.Configuration.IPv4Subnet
	}
	if !want.IPv6.IsValid() {
		want.IPv6 = r.Configuration.IPv6Subnet
	}
	return want
}

// OverlapError says which subnet of a network is in another's way.
type OverlapError struct {
	field  string
	prefix netip.Prefix
	other  string // network
	theirs netip.Prefix
	Ours   bool // the plugin chose it, so that it may choose again
}

// Error implements error.
func (e *OverlapError) Error() string {
	return fmt.Sprintf("%s %v: overlaps network %s (%v)", e.field, e.prefix, e.other, e.theirs)
}

// Unwrap returns the kind of the error.
func (e *OverlapError) Unwrap() error { return errdefs.ErrFailedPrecondition }

// Ledger knows the names and subnets of all networks, also of those that are
// being made. It is safe for concurrent use.
type Ledger struct {
	pools  Pools
	mu     sync.Mutex
	names  map[string]bool  // guarded by mu
	claims map[string]claim // by the network's id; guarded by mu
}

// claim is what one network uses or is about to use.
type claim struct {
	name    string
	subnets resource.PinnedSubnets
}

// Pools are what plugins choose subnets from; without any of a family, from their own.
type Pools struct{ IPv4, IPv6 []resource.SubnetPool }

// NewLedger returns a ledger with the networks that there are.
func NewLedger(stored []resource.StoredNetwork, pools Pools) *Ledger {
	l := &Ledger{pools: pools, names: map[string]bool{}, claims: map[string]claim{}}
	for _, r := range stored {
		l.names[r.Name] = true
		l.claims[r.ID] = claim{r.Name, Wanted(r)}
	}
	return l
}

// Claim notes that a network is about to use the subnets of want, unless
// another one uses or is about to use them; all overlaps are reported. given
// are those of them that were not chosen by the plugin.
func (l *Ledger) Claim(id, name string, want, given resource.PinnedSubnets) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claimLocked(id, name, want, given)
}

func (l *Ledger) claimLocked(id, name string, want, given resource.PinnedSubnets) error {
	var faults []error
	for other, c := range l.claims {
		if other == id {
			continue
		}
		if overlap(want.IPv4, c.subnets.IPv4) {
			faults = append(faults, &OverlapError{"ipv4 subnet", want.IPv4, c.name, c.subnets.IPv4, !given.IPv4.IsValid()})
		}
		if overlap(want.IPv6, c.subnets.IPv6) {
			faults = append(faults, &OverlapError{"ipv6 subnet", want.IPv6, c.name, c.subnets.IPv6, !given.IPv6.IsValid()})
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	l.claims[id] = claim{name, want}
	return nil
}

func overlap(a, b netip.Prefix) bool { return a.IsValid() && b.IsValid() && a.Overlaps(b) }

// Reserve takes a name and the given subnets for a network that is being made;
// all that is in the way is reported at once.
func (l *Ledger) Reserve(id, name string, given resource.PinnedSubnets) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []error
	if l.names[name] {
		faults = append(faults, fmt.Errorf("network %s: exists already, want another name: %w", name, errdefs.ErrAlreadyExists))
	}
	if err := l.claimLocked(id, name, given, given); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		delete(l.claims, id)
		return err
	}
	l.names[name] = true
	return nil
}

// Forget gives up what a network had taken.
func (l *Ledger) Forget(id, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.claims, id)
	delete(l.names, name)
}
