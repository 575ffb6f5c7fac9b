package store

import (
	"encoding/json"
	"errors"
	"sync"

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
// transaction, two waits for the disk and five pages, only now and then.
type commits struct {
	db      *bbolt.DB
	pending pending // what the journal has

	writing sync.Mutex       // held by who writes, for itself and for others
	journal *journal.Journal // guarded by writing; nil: none can be written
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

// Where the database has the generation of the journal that it is followed by.
var (
	journalBucket = []byte(".journal") // no collection has a name with a dot
	generationKey = []byte("generation")
)

// openJournal takes up what the journal at path has, and makes it if there is none. Without one all goes to
// the database, as long as it takes anything.
func (c *commits) openJournal(path string) error {
	g, err := c.generation()
	if err != nil {
		return err
	}
	j, entries, err := journal.Open(path, g)
	if j == nil && !unwritable(err) {
		return err
	}
	for _, e := range entries {
		var records []record
		if err := json.Unmarshal(e, &records); err != nil {
			return errors.Join(err, c.close())
		}
		c.pending.add(records)
	}
	c.journal = j
	if j != nil && g == (journal.Generation{}) {
		if err := c.merge(nil); !unwritable(err) {
			return err
		}
		c.journal = nil
		return j.Close()
	}
	return nil
}

// generation is the one that the database is followed by; none: zeros.
func (c *commits) generation() (g journal.Generation, err error) {
	err = c.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(journalBucket); b != nil {
			copy(g[:], b.Get(generationKey))
		}
		return nil
	})
	return g, err
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
	if c.journal == nil {
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
func (c *commits) merge(records []record) error {
	var g journal.Generation
	random.Read(g[:])
	err := c.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(journalBucket)
		if err == nil {
			err = b.Put(generationKey, g[:])
		}
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
	if c.journal != nil {
		c.journal.Restart(g)
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
	if len(c.pending.all()) > 0 {
		if err := c.merge(nil); err != nil && !unwritable(err) {
			return err
		}
	}
	if c.journal == nil {
		return nil
	}
	defer func() { c.journal = nil }()
	return c.journal.Close()
}
