package lease

import (
	"errors"
	"time"
)

// freedDelay is how long what a freed key remembers may be unwritten: one that is
// forgotten by then, as those of a container that is deleted are, never is.
const freedDelay = 250 * time.Millisecond

// freed are the keys whose leases are free though their files say that they are
// held. A process that takes these up finds nobody who holds them, takes their ports
// off once more and frees them. That is right for as long as nobody else has
// their addresses: so they are written before a lease is that may have them.
type freed struct {
	unwritten map[string]bool
	timer     *time.Timer // nil: nothing is about to be written
}

// keepLater is keep for a key whose lease was held and is free. Callers hold mu.
func (t *Table) keepLater(key string) {
	t.freed.unwritten[key] = true
	if t.freed.timer != nil {
		return
	}
	t.freed.timer = time.AfterFunc(freedDelay, func() {
		t.background(func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.freed.timer = nil
			if err := t.writeFreed(); err != nil {
				t.log.Error("freed leases cannot be written down", "error", err)
			}
		})
	})
}

// writeFreed writes what is unwritten. A key that has a lease again is written with
// that. Callers hold mu.
func (t *Table) writeFreed() error {
	var faults []error
	for key := range t.freed.unwritten {
		if e := t.entries[key]; e != nil && e.Lease == nil {
			faults = append(faults, t.keep(e))
		}
	}
	return errors.Join(faults...)
}
