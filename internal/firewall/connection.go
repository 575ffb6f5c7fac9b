package firewall

import (
	"errors"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// connections are to the kernel's packet filter, kept open: it takes back what a closed
// one may own, and for that waits until all that anybody has removed is out of use (5 to
// 20 ms), during which it accepts no change of anybody's (nft_rcv_nl_event).
// Network.applying guards them.
type connections struct {
	tables *nftables.Conn  // nil: none yet
	flows  *netlink.Handle // nil: none yet
}

// close ends them; the next use opens them anew.
func (c *connections) close() error {
	var err error
	if c.tables != nil {
		err = c.tables.CloseLasting()
	}
	if c.flows != nil {
		c.flows.Close()
	}
	*c = connections{}
	return err
}

// with calls f with a connection that has nothing to send yet. One by which something
// failed is not used again: there may be answers in it that nobody has read, and requests
// that were not sent. Callers hold applying.
func (n *Network) with(f func(*nftables.Conn) error) error {
	if n.connections.tables == nil {
		options := []nftables.ConnOption{nftables.AsLasting()}
		if n.config.Namespace != nil {
			options = append(options, nftables.WithNetNSFd(n.config.Namespace.FD()))
		}
		c, err := nftables.New(options...)
		if err != nil {
			return err
		}
		n.connections.tables = c
	}
	err := f(n.connections.tables)
	if err != nil {
		err = errors.Join(err, n.connections.close())
	}
	return err
}

// withFlows calls f with a connection to the kernel's table of flows. Callers hold
// applying.
func (n *Network) withFlows(f func(*netlink.Handle) error) error {
	if n.connections.flows == nil {
		at := vns.None()
		if n.config.Namespace != nil {
			at = vns.NsHandle(n.config.Namespace.FD())
		}
		handle, err := netlink.NewHandleAt(at, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		n.connections.flows = handle
	}
	return f(n.connections.flows)
}
