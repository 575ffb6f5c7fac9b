// Package connection keeps connections to the kernel's packet filter open.
//
// Of a closed one the kernel takes back what it may own, and for that waits until all that
// anybody has removed is out of use (5 to 20 ms); meanwhile it accepts no change of
// anybody's (nft_rcv_nl_event of net/netfilter/nf_tables_api.c).
package connection

import (
	"errors"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// Connection is to the packet filter of one network namespace. It opens by itself when it
// is used. It is for one goroutine at a time.
type Connection struct {
	namespace *netns.Namespace
	tables    *nftables.Conn  // nil: not open
	wire      *wire           // the socket of tables; nil: not open
	flows     *netlink.Handle // nil: not open
}

// To returns a connection to the packet filter of a namespace, or where that is nil of the
// caller's, which is not open yet.
func To(namespace *netns.Namespace) Connection { return Connection{namespace: namespace} }

// Close ends it until it is used again.
func (c *Connection) Close() error {
	var err error
	if c.tables != nil {
		err = c.tables.CloseLasting()
	}
	if c.flows != nil {
		c.flows.Close()
	}
	c.tables, c.wire, c.flows = nil, nil, nil
	return err
}

// Tables calls f with a connection to nftables that has nothing to send yet. One by which
// something failed is not used again: there may be answers in it that nobody has read, and
// requests that were not sent.
func (c *Connection) Tables(f func(*nftables.Conn) error) error {
	if err := c.open(); err != nil {
		return err
	}
	err := f(c.tables)
	if err != nil {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (c *Connection) open() error {
	if c.tables != nil {
		return nil
	}
	w := &wire{}
	options := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(w.take)}
	if c.namespace != nil {
		options = append(options, nftables.WithNetNSFd(c.namespace.FD()))
	}
	tables, err := nftables.New(options...)
	if err != nil {
		return err
	}
	c.tables, c.wire = tables, w
	return nil
}

// Flows calls f with a connection to the table of flows (conntrack).
func (c *Connection) Flows(f func(*netlink.Handle) error) error {
	if c.flows == nil {
		at := vns.None()
		if c.namespace != nil {
			at = vns.NsHandle(c.namespace.FD())
		}
		opened, err := netlink.NewHandleAt(at, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		c.flows = opened
	}
	return f(c.flows)
}
