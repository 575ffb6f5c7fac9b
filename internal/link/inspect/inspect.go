// Package inspect reads what the kernel has in a network namespace: its interfaces, their
// addresses and counters, its routes, and where it would send a packet. It changes
// nothing.
package inspect

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
)

// Reader asks the kernel about one network namespace. It may be used by several
// goroutines.
type Reader struct {
	ns  *netns.Namespace // nil: that of the process
	raw *rtnl.Socket

	opening sync.Mutex
	queries *netlink.Handle // guarded by opening; nil: nobody has asked for more than raw can
}

// NewReader returns a reader of ns, or of the process's namespace when ns is nil. socket is
// one in that namespace, which stays its owner's: it and ns must be open for as long as the reader is
// used.
func NewReader(ns *netns.Namespace, socket *rtnl.Socket) *Reader {
	return &Reader{ns: ns, raw: socket}
}

// Close ends the use of the reader.
func (r *Reader) Close() {
	r.opening.Lock()
	defer r.opening.Unlock()
	if r.queries != nil {
		r.queries.Close()
	}
}

// Namespace is that of the reader; nil: the process's.
func (r *Reader) Namespace() *netns.Namespace { return r.ns }

// query asks the kernel by a socket for questions, which is opened with the first one.
func query[T any](r *Reader, ask func(*netlink.Handle) (T, error)) (T, error) {
	r.opening.Lock()
	if r.queries == nil {
		opened, err := netlink.NewHandleAt(r.at(), unix.NETLINK_ROUTE)
		if err != nil {
			r.opening.Unlock()
			var none T
			return none, fmt.Errorf("open netlink: %w", err)
		}
		r.queries = opened
	}
	socket := r.queries
	r.opening.Unlock()
	return retried(func() (T, error) { return ask(socket) })
}

// at is the namespace as sockets are opened in it.
func (r *Reader) at() vns.NsHandle {
	if r.ns == nil {
		return vns.None()
	}
	return vns.NsHandle(r.ns.FD())
}

// retried repeats a listing that the kernel could not give in one piece
// because the list changed meanwhile.
func retried[T any](list func() (T, error)) (T, error) {
	const attempts = 30
	for n := 1; ; n++ {
		v, err := list()
		again := errors.Is(err, netlink.ErrDumpInterrupted) || errors.Is(err, unix.EINTR)
		if !again || n == attempts {
			return v, err
		}
	}
}

// again is retried for a listing that is passed on piece by piece, some of it several times
// then.
func again(list func() error) error {
	_, err := retried(func() (struct{}, error) { return struct{}{}, list() })
	return err
}
