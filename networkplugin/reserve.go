package networkplugin

import (
	"errors"
	"fmt"
	"net/netip"

	"patchbay.dev/patchbay/internal/ipam"
)

// reservation is static addresses set aside for a key.
type reservation struct {
	key, owner string
	addresses  addresses
}

// reserve sets addresses aside for a key in place of those before, whether it
// has a lease or not.
func (t *table) reserve(r reservation) error {
	if err := checkKey(r.key); err != nil {
		return err
	}
	defer t.keys.Lock(r.key)()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.serving(); err != nil {
		return err
	}
	return t.reserveLocked(r)
}

func (t *table) reserveLocked(r reservation) error {
	if err := t.checkAddresses(r.key, r.addresses); err != nil {
		return err
	}
	e := t.entries[r.key]
	if e == nil {
		e = &entry{Key: r.key}
		t.entries[r.key] = e
	}
	before, owner := e.Reserved, e.Owner
	t.unreserve(e)
	e.Reserved, e.Owner = r.addresses, r.owner
	err := t.setAside(r.key, r.addresses)
	if err == nil {
		err = t.keep(e)
	}
	if err != nil {
		t.unreserve(e)
		e.Reserved, e.Owner = before, owner
		err = errors.Join(err, t.setAside(r.key, before))
		if e.empty() {
			delete(t.entries, r.key)
		}
	}
	return err
}

// setAside makes allocators and MACs know a reservation. Callers hold mu.
func (t *table) setAside(key string, want addresses) error {
	if err := errors.Join(reserveAddress(t.v4, key, want.IPv4), reserveAddress(t.v6, key, want.IPv6)); err != nil {
		return err
	}
	if want.MAC != "" {
		t.macs[want.MAC] = key
	}
	return nil
}

func reserveAddress(a *ipam.Allocator, key string, want netip.Addr) error {
	if a == nil || !want.IsValid() {
		return nil
	}
	return a.Reserve(key, want)
}

// unreserve drops the reservation of an entry, in memory. Callers hold mu.
func (t *table) unreserve(e *entry) {
	for _, a := range []*ipam.Allocator{t.v4, t.v6} {
		if a != nil {
			a.Unreserve(e.Key)
		}
	}
	mac := e.Reserved.MAC
	if mac != "" && (e.Lease == nil || e.Lease.Attachment.MACAddress != mac) && t.macs[mac] == e.Key {
		delete(t.macs, mac)
	}
	e.Reserved = addresses{}
}

// replaceReservations makes the given reservations all there are. What does
// not fit is left out and reported; the others count.
func (t *table) replaceReservations(all []reservation) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := make(map[string]bool, len(all))
	for _, r := range all {
		wanted[r.key] = true
	}
	var faults []error
	for _, e := range t.sorted() {
		if !wanted[e.Key] && e.Reserved != (addresses{}) {
			t.unreserve(e)
			faults = append(faults, t.keep(e))
		}
	}
	for _, r := range all {
		if err := errors.Join(checkKey(r.key), t.reserveLocked(r)); err != nil {
			faults = append(faults, fmt.Errorf("reservation of %s: %w", r.owner, err))
		}
	}
	return errors.Join(faults...)
}
