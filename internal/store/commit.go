package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"go.etcd.io/bbolt"

	"patchbay.dev/patchbay/internal/random"
	"patchbay.dev/patchbay/internal/store/journal"
)

// commits writes changes. What comes while others are being written shares one
// write, and its wait for the disk.
//
// A change goes to the journal, by one write. What has no room there goes to the database,
// together with all that is in the journal, by one transaction, which
// begins a new generation of the journal: it is empty from then on. So a change costs the database's
// transaction, two waits for the disk and five pages, only now and then. So does the first change after
// the store is opened, with which the database gets its mark.
type commits struct {
	db      *bbolt.DB
	pending pending // what the journal has

	writing sync.Mutex       // held by who writes, for itself and for others
	journal *journal.Journal // guarded by writing; nil: none can be written
	marked  bool             // the database says that the journal belongs to it; guarded by writing
	mu      sync.Mutex
	waiting []*change // guarded by mu
}

// change is what one caller wants done.
type change struct {
	records []record
	done    bool  // guarded by commits.writing
	err     error // guarded by commits.writing
}

// record is one that is put, or deleted if it has no value.
type record struct {
	Collection string          `json:"collection"`
	ID         string          `json:"id"`
	Value      json.RawMessage `json:"value,omitempty"`
}

// openJournal takes up what the journal at path has, and makes it if there is none. Without one all goes to
// the database, as long as it takes anything.
func (c *commits) openJournal(path string) error {
	m, err := readMark(c.db)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); m.journal && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("changes are in %s, which is not there: put it back, or make an empty file of that name to go on without them: %w", path, errdefs.ErrDataLoss)
	}
	j, entries, err := journal.Open(path, m.generation)
	if j == nil && !unwritable(err) {
		return err
	}
	var newer []record
	for _, e := range entries {
		var records []record
		if err := json.Unmarshal(e, &records); err != nil {
			err = fmt.Errorf("%s: put a copy of it and of the store back: %w: %w", path, err, errdefs.ErrDataLoss)
			if j != nil {
				err = errors.Join(err, j.Close())
			}
			return err
		}
		newer = append(newer, records...)
	}
	c.pending.add(newer)
	c.marked = m.journal
	c.journal = j
	if j != nil && m.generation == (journal.Generation{}) {
		if err := c.merge(nil); !unwritable(err) {
			return err
		}
		c.journal = nil
		return j.Close()
	}
	return nil
}

// commit does a change; it is on disk when commit returns nil. One that fails costs the others nothing.
func (c *commits) commit(records []record) error {
	own := &change{records: records}
	c.mu.Lock()
	c.waiting = append(c.waiting, own)
	c.mu.Unlock()

	c.writing.Lock()
	defer c.writing.Unlock()
	if !own.done { // else who wrote before has done it too
		c.mu.Lock()
		all := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		c.write(all)
	}
	return own.err
}

// write does all changes at once, or each for itself if that fails. Callers hold writing.
func (c *commits) write(all []*change) {
	var records []record
	for _, one := range all {
		records = append(records, one.records...)
	}
	err := c.append(records)
	if err != nil {
		err = c.merge(records)
	}
	for _, one := range all {
		one.done, one.err = true, err
		if err != nil && len(all) > 1 {
			one.err = c.merge(one.records)
		}
	}
}

var errNoJournal = errors.New("there is no journal")

// append writes records to the journal.
func (c *commits) append(records []record) error {
	if c.journal == nil || !c.marked {
		return errNoJournal
	}
	entry, err := json.Marshal(records)
	if err == nil {
		err = c.journal.Append(entry)
	}
	if err == nil {
		c.pending.add(records)
	}
	return err
}

// merge writes what the journal has to the database, and then records.
func (c *commits) merge(records []record) error { return c.empty(records, c.journal != nil) }

// empty writes what the journal has to the database, and then records, and whether there will be
// changes in the journal.
func (c *commits) empty(records []record, goesOn bool) error {
	m := mark{journal: goesOn}
	random.Read(m.generation[:])
	err := c.db.Update(func(tx *bbolt.Tx) error {
		err := m.write(tx)
		for _, r := range append(c.pending.all(), records...) {
			if err == nil {
				err = r.apply(tx)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	c.pending.clear()
	c.marked = goesOn
	if c.journal != nil {
		c.journal.Restart(m.generation)
	}
	return nil
}

func (r record) apply(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte(r.Collection))
	switch {
	case err != nil:
		return err
	case r.Value == nil:
		return b.Delete([]byte(r.ID))
	}
	return b.Put([]byte(r.ID), r.Value)
}

// close empties the journal, for an earlier version of this program and for copies of the database alone.
// What the database does not take stays in it.
func (c *commits) close() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.marked || len(c.pending.all()) > 0 {
		if err := c.empty(nil, false); err != nil && !unwritable(err) {
			return err
		}
	}
	if c.journal == nil {
		return nil
	}
	defer func() { c.journal = nil }()
	return c.journal.Close()
}
