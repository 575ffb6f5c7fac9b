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

// maxPerMessage keeps the list of a message's elements below the 64 KiB that an
// attribute of netlink has room for; one has some 100 bytes.
const maxPerMessage = 256

// Add puts elements into their sets, those of one set in one message. That they are
// there is no error.
func Add(c *nftables.Conn, all []Element) error { return eachSet(all, c.SetAddElements) }

// Remove takes elements out of their sets, likewise. One that is not there is
// unix.ENOENT.
func Remove(c *nftables.Conn, all []Element) error { return eachSet(all, c.SetDeleteElements) }

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

// Add is Add in one transaction.
func (c *Connection) Add(all []Element) error {
	return c.Tables(func(tables *nftables.Conn) error {
		if err := Add(tables, all); err != nil {
			return err
		}
		return tables.Flush()
	})
}

// Remove is Remove in one transaction. That some of the elements are not there is
// no error: they are added first then, which is not done at once since it is twice
// the work and as good as never needed. A set that is not there is unix.ENOENT.
func (c *Connection) Remove(all []Element) error {
	remove := func(tables *nftables.Conn) error {
		if err := Remove(tables, all); err != nil {
			return err
		}
		return tables.Flush()
	}
	err := c.Tables(remove)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	return c.Tables(func(tables *nftables.Conn) error {
		if err := Add(tables, all); err != nil {
			return err
		}
		return remove(tables)
	})
}
