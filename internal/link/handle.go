// Package link makes and removes network interfaces, addresses and
// routes by netlink. What there is tells inspect, which a Handle has in it.
//
// Devices of a sandbox are born in its namespace with their final name and
// MAC address, for moving a link between namespaces makes the kernel wait for a grace
// period (15 to 30 ms). Deleting a link does too; whoever asks for that is told when the
// link is gone, which is before.
package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// Handle talks to the kernel about the links of one network namespace. It may
// be used by several goroutines.
type Handle struct {
	// Reader tells what there is, by the same socket.
	*inspect.Reader

	raw *rtnl.Socket
}

// Open returns a handle for the links of ns, or of the process's namespace when
// ns is nil. ns must stay open until the handle is closed.
func Open(ns *netns.Namespace) (*Handle, error) {
	raw, err := rtnl.OpenToSettle(ns)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &Handle{Reader: inspect.NewReader(ns, raw), raw: raw}, nil
}

// Close ends the use of the handle.
func (h *Handle) Close() {
	h.raw.Close()
	h.Reader.Close()
}

// Inside runs f in a thread of the handle's namespace, where /proc/sys/net is that
// namespace's.
func (h *Handle) Inside(f func() error) error {
	if h.Namespace() == nil {
		return f()
	}
	return h.Namespace().Do(f)
}

// Peer is the end of a link inside a sandbox.
type Peer struct {
	Namespace *netns.Namespace
	Name      string
	MAC       resource.MACAddress // empty: the kernel chooses
	MTU       int                 // 0: the kernel's default
	// Links is a handle on the namespace; nil: one is opened where it is needed.
	Links *Handle
}

// OwnerAlias is the ifalias of the links of a network, so that a left-over is
// known for what it is.
func OwnerAlias(networkID string) string { return "patchbay:" + networkID }

// Delete removes a link as DeleteIndex does. One that has gone already is no error.
func (h *Handle) Delete(name string) error {
	index, err := h.Index(name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.DeleteIndex(index)
}

// Exists reports whether there is a link with that index, which the kernel tells without
// waiting for who changes links.
func (h *Handle) Exists(index int) (bool, error) {
	exists, err := h.raw.Exists(index)
	if err != nil {
		return false, fmt.Errorf("interface %d: %w", index, err)
	}
	return exists, nil
}

// DeleteIndex removes the link with that index; one that has gone already is no error.
// When it returns the link and its peer are gone, and their names may be used again;
// the kernel's wait for whoever may still look at their memory goes on in the background, also when
// the handle is closed. Unlike a name, an index is not used again soon, so this cannot
// hit a successor.
func (h *Handle) DeleteIndex(index int) error {
	return h.DeleteBridge(index, nil)
}

// DeleteBridge is DeleteIndex for a bridge that may have these addresses: the IPv4 ones go first.
// When a link with IPv4 routes goes down, the kernel goes through the IPv4 routes of all links.
func (h *Handle) DeleteBridge(index int, addresses []netip.Prefix) error {
	var before []*nl.NetlinkRequest
	for _, a := range addresses {
		if a.Addr().Is4() {
			before = append(before, rtnl.Optional(rtnl.Address(unix.RTM_DELADDR, index, a)))
		}
	}
	err := rtnl.DeleteLink(h.Namespace(), index, before...)
	if err == nil || gone(err) {
		return nil
	}
	return fmt.Errorf("delete interface %d: %w", index, err)
}

// SetDown stops a link from carrying traffic. One that has gone already is no
// error.
func (h *Handle) SetDown(name string) error {
	index, err := h.Index(name)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.raw.Do(rtnl.Flags(index, false)); err != nil && !gone(err) {
		return fmt.Errorf("interface %s: set down: %w", name, err)
	}
	return nil
}

// LoopbackUp sets the loopback interface up.
func (h *Handle) LoopbackUp() error {
	const loopback = 1 // LOOPBACK_IFINDEX of the kernel, in every namespace
	if err := h.raw.Do(rtnl.Flags(loopback, true)); err != nil {
		return fmt.Errorf("interface lo: set up: %w", err)
	}
	return nil
}

// gone reports whether err says that the link no longer exists.
func gone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.As(err, &netlink.LinkNotFoundError{})
}
