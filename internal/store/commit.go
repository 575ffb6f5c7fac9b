package store

import (
	"sync"

	"go.etcd.io/bbolt"
)

// commits writes changes. What comes while others are being written shares one
// transaction, and its wait for the disk.
type commits struct {
	db *bbolt.DB

	writing sync.Mutex // held by who writes, for itself and for others
	mu      sync.Mutex
	waiting []*change // guarded by mu
}

// change is what one caller wants done.
type change struct {
	do   func(*bbolt.Tx) error
	done bool  // guarded by commits.writing
	err  error // guarded by commits.writing
}

// commit does a change; it is on disk when commit returns nil. It may be done twice, the
// first time in vain; one that fails costs the others nothing.
func (c *commits) commit(do func(*bbolt.Tx) error) error {
	own := &change{do: do}
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

func (c *commits) write(all []*change) {
	err := c.db.Update(func(tx *bbolt.Tx) error {
		for _, one := range all {
			if err := one.do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, one := range all {
		one.done, one.err = true, err
		if err != nil && len(all) > 1 {
			one.err = c.db.Update(one.do)
		}
	}
}
