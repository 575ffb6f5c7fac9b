package lease

import (
	"errors"
	"fmt"

	"patchbay.dev/patchbay/internal/lease/pool"
)

// Reservation is static addresses set aside for a key.
type Reservation struct {
	Key, Owner string // of a container, for error messages
	Addresses  pool.Addresses
}

// Reserve sets addresses aside for a key in place of those before, whether it
// has a lease or not.
func (t *Table) Reserve(r Reservation) error {
	if err := checkKey(r.Key); err != nil {
		return err
	}
	defer t.keys.Lock(r.Key)()
	defer t.used()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.serving(); err != nil {
		return err
	}
	return t.reserveLocked(r)
}

func (t *Table) reserveLocked(r Reservation) error {
	if err := t.pool.Check(r.Key, r.Addresses); err != nil {
		return err
	}
	e := t.entries[r.Key]
	if e == nil {
		e = &entry{Key: r.Key}
		t.entries[r.Key] = e
	}
	before, owner := e.Reserved, e.Owner
	t.unreserve(e)
	e.Reserved, e.Owner = r.Addresses, r.Owner
	err := t.pool.Reserve(r.Key, r.Addresses)
	if err == nil {
		err = errors.Join(t.writeFreed(), t.keep(e))
	}
	if err != nil {
		t.unreserve(e)
		e.Reserved, e.Owner = before, owner
		err = errors.Join(err, t.pool.Reserve(r.Key, before))
		if e.empty() {
			delete(t.entries, r.Key)
		}
	}
	return err
}

// unreserve drops the reservation of an entry, in memory. Callers hold mu.
func (t *Table) unreserve(e *entry) {
	t.pool.Unreserve(e.Key)
	if mac := e.Reserved.MAC; e.Lease == nil || e.Lease.Attachment.MACAddress != mac {
		t.pool.FreeMAC(e.Key, mac)
	}
	e.Reserved = pool.Addresses{}
}

// ReplaceReservations makes the given reservations all there are. What does
// not fit is left out and reported; the others count.
func (t *Table) ReplaceReservations(all []Reservation) error {
	defer t.used()
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := make(map[string]bool, len(all))
	for _, r := range all {
		wanted[r.Key] = true
	}
	var faults []error
	unwanted := func(e *entry) bool { return !wanted[e.Key] && e.Reserved != (pool.Addresses{}) }
	for _, e := range t.sorted(unwanted) {
		t.unreserve(e)
		faults = append(faults, t.keep(e))
	}
	for _, r := range all {
		if err := errors.Join(checkKey(r.Key), t.reserveLocked(r)); err != nil {
			faults = append(faults, fmt.Errorf("reservation of %s: %w", r.Owner, err))
		}
	}
	return errors.Join(faults...)
}

// Remember gives keys of which nothing is known the addresses back that they had
// before a reboot, when they ask next; others get them last. Addresses that do
// not fit are left out. It is not written: whoever remembers says it with each
// start.
func (t *Table) Remember(all []Reservation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range all {
		if t.entries[r.Key] != nil || checkKey(r.Key) != nil {
			continue
		}
		t.pool.Remember(r.Key, r.Addresses)
	}
}
