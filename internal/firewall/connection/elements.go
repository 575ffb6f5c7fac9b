package connection

import (
	"errors"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Element is one element of a set.
type Element struct {
	Set   *nftables.Set
	Value nftables.SetElement
}

const (
	// maxPerMessage keeps the list of a message's elements below the 64 KiB that an
	// attribute of netlink has room for; one has some 100 to 170 bytes.
	maxPerMessage = 256
	// maxPerTransaction keeps a transaction below what a socket may send at once, 208 KiB
	// (net.core.wmem_default, less than which nothing but a privilege of the host's gives). An
	// element may be in a transaction twice.
	maxPerTransaction = 512
)

// Add puts elements into their sets, after what c has to send already, in as few
// transactions as they have room in. That they are there is no error.
func Add(c *nftables.Conn, all []Element) error { return change(c, all, c.SetAddElements) }

// Remove takes elements out of their sets, likewise. One that is not there is
// unix.ENOENT.
func Remove(c *nftables.Conn, all []Element) error { return change(c, all, c.SetDeleteElements) }

func change(c *nftables.Conn, all []Element, do func(*nftables.Set, []nftables.SetElement) error) error {
	for {
		some := all[:min(len(all), maxPerTransaction)]
		if err := eachSet(some, do); err != nil {
			return err
		}
		if err := c.Flush(); err != nil {
			return err
		}
		if all = all[len(some):]; len(all) == 0 {
			return nil
		}
	}
}

func eachSet(all []Element, do func(*nftables.Set, []nftables.SetElement) error) error {
	var sets []*nftables.Set // in their order
	values := map[*nftables.Set][]nftables.SetElement{}
	for _, e := range all {
		if values[e.Set] == nil {
			sets = append(sets, e.Set)
		}
		values[e.Set] = append(values[e.Set], e.Value)
	}
	for _, s := range sets {
		for some := range slices.Chunk(values[s], maxPerMessage) {
			if err := do(s, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// Add is the function Add.
func (c *Connection) Add(all []Element) error { return c.send(all, put) }

// Remove takes elements out of their sets. That some of them are not there is
// no error: they are added first then, which is not done at once since it is twice
// the work and as good as never needed. A set that is not there is unix.ENOENT.
func (c *Connection) Remove(all []Element) error {
	err := c.send(all, take)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	return c.Cancel(all)
}

// Cancel takes elements out of their maps where the maps say the same for their
// keys. Where one says something else, unix.EEXIST, nothing of its transaction happens.
// One that is not there is no error. A set that is not there is unix.ENOENT.
func (c *Connection) Cancel(all []Element) error { return c.send(all, put, takeKeys) }

// send does the same with elements of all sets, in as few transactions as they have room in.
// A connection by which something failed is not used again, as with Tables.
func (c *Connection) send(all []Element, steps ...step) error {
	if err := c.open(); err != nil {
		return err
	}
	for some := range slices.Chunk(all, maxPerTransaction) {
		if err := c.wire.change(some, steps); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	return nil
}
