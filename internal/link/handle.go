// Package link makes, finds and removes network interfaces, addresses and
// routes by netlink.
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
	"sync"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// Handle talks to the kernel about the links of one network namespace. It may
// be used by several goroutines.
type Handle struct {
	ns  *netns.Namespace // nil: that of the process
	raw *rtnl.Socket

	opening sync.Mutex
	queries *netlink.Handle // guarded by opening; nil: nobody has asked for more than an index
}

// Open returns a handle for the links of ns, or of the process's namespace when
// ns is nil. ns must stay open until the handle is closed.
func Open(ns *netns.Namespace) (*Handle, error) {
	h := &Handle{ns: ns}
	raw, err := rtnl.OpenToSettle(ns)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	h.raw = raw
	return h, nil
}

// Close ends the use of the handle.
func (h *Handle) Close() {
	h.raw.Close()
	h.opening.Lock()
	defer h.opening.Unlock()
	if h.queries != nil {
		h.queries.Close()
	}
}

// query asks the kernel by a socket for questions, which is opened with the first one.
func query[T any](h *Handle, ask func(*netlink.Handle) (T, error)) (T, error) {
	h.opening.Lock()
	if h.queries == nil {
		opened, err := netlink.NewHandleAt(h.at(), unix.NETLINK_ROUTE)
		if err != nil {
			h.opening.Unlock()
			var none T
			return none, fmt.Errorf("open netlink: %w", err)
		}
		h.queries = opened
	}
	socket := h.queries
	h.opening.Unlock()
	return retried(func() (T, error) { return ask(socket) })
}

// tell is query without an answer.
func (h *Handle) tell(f func(*netlink.Handle) error) error {
	_, err := query(h, func(s *netlink.Handle) (struct{}, error) { return struct{}{}, f(s) })
	return err
}

// Inside runs f in a thread of the handle's namespace, where /proc/sys/net is that
// namespace's.
func (h *Handle) Inside(f func() error) error {
	if h.ns == nil {
		return f()
	}
	return h.ns.Do(f)
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

// Interface is one network interface as the kernel describes it.
type Interface struct {
	Name  string
	Index int
	Kind  string // "veth", "bridge", ...; empty for physical ones
	MAC   resource.MACAddress
	// PermanentMAC is that of the hardware; empty where there is none.
	PermanentMAC resource.MACAddress
	MTU          int
	Up           bool // set up by its administrator
	Running      bool // and able to carry traffic
	Loopback     bool
	Alias        string // ifalias, see OwnerAlias
	MasterIndex  int    // of the bridge it is a port of, or 0
	ParentIndex  int    // of the interface below, or the peer, or 0
}

// OwnerAlias is the ifalias of the links of a network, so that a left-over is
// known for what it is.
func OwnerAlias(networkID string) string { return "patchbay:" + networkID }

// Interface returns the interface of that name, or errdefs.ErrNotFound.
func (h *Handle) Interface(name string) (Interface, error) {
	l, err := h.byName(name)
	if err != nil {
		return Interface{}, err
	}
	return describe(l), nil
}

// Interfaces returns all interfaces.
func (h *Handle) Interfaces() ([]Interface, error) {
	links, err := query(h, (*netlink.Handle).LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	all := make([]Interface, 0, len(links))
	for _, l := range links {
		all = append(all, describe(l))
	}
	return all, nil
}

// FindByMAC returns the interface with that MAC address, or errdefs.ErrNotFound.
// Loopback and bridges are not looked at.
func (h *Handle) FindByMAC(mac resource.MACAddress) (Interface, error) {
	all, err := h.Interfaces()
	if err != nil {
		return Interface{}, err
	}
	for _, i := range all {
		if i.MAC == mac && i.Kind != "bridge" && !i.Loopback {
			return i, nil
		}
	}
	return Interface{}, fmt.Errorf("interface with mac address %s: is not there: %w", mac, errdefs.ErrNotFound)
}

// Address is one address of an interface.
type Address struct {
	Interface string
	Prefix    netip.Prefix // the address with the length of its subnet
}

// Addresses returns the addresses of all interfaces, both families.
func (h *Handle) Addresses() ([]Address, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	return h.addresses(names)
}

// addressesOn returns the prefixes of the addresses of one interface.
func (h *Handle) addressesOn(index int) ([]netip.Prefix, error) {
	all, err := retried(func() ([]rtnl.Listed, error) { return h.raw.Addresses(index) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of interface %d: %w", index, err)
	}
	out := make([]netip.Prefix, len(all))
	for i, a := range all {
		out[i] = a.Prefix
	}
	return out, nil
}

func (h *Handle) addresses(names naming) ([]Address, error) {
	list, err := h.allAddresses()
	if err != nil {
		return nil, err
	}
	all := make([]Address, len(list))
	for i, a := range list {
		all[i] = Address{Interface: names(a.Index), Prefix: a.Prefix}
	}
	return all, nil
}

// HostRoute is one route of the main table.
type HostRoute struct {
	Interface   string
	Destination netip.Prefix
	Gateway     netip.Addr // zero: on link
}

// Default reports whether the route leads everywhere.
func (r HostRoute) Default() bool { return r.Destination.Bits() == 0 }

// Routes returns the unicast routes of the main table, both families, in
// the order of preference of the kernel's listing.
func (h *Handle) Routes() ([]HostRoute, error) {
	names, err := h.names()
	if err != nil {
		return nil, err
	}
	return h.routes(names)
}

func (h *Handle) routes(names naming) ([]HostRoute, error) {
	list, err := h.mainRoutes()
	if err != nil {
		return nil, err
	}
	all := make([]HostRoute, len(list))
	for i, r := range list {
		all[i] = HostRoute{Interface: names(r.Index), Destination: r.Prefix, Gateway: r.Gateway}
	}
	return all, nil
}

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

// DeleteIndex removes the link with that index; one that has gone already is no error.
// When it returns the link and its peer are gone, and their names may be used again;
// the kernel's wait for whoever may still look at their memory goes on in the background, also when
// the handle is closed. Unlike a name, an index is not used again soon, so this cannot
// hit a successor.
func (h *Handle) DeleteIndex(index int) error {
	err := rtnl.DeleteLink(h.ns, index)
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

func (h *Handle) byName(name string) (netlink.Link, error) {
	l, err := query(h, func(s *netlink.Handle) (netlink.Link, error) { return s.LinkByName(name) })
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("interface %s: is not there: %w", name, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return l, nil
}

// Has reports whether there is an interface of a name.
func (h *Handle) Has(name string) (bool, error) {
	_, err := h.Index(name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Namespace is that of the handle; nil: the process's.
func (h *Handle) Namespace() *netns.Namespace { return h.ns }

// Index returns that of the interface of a name, or errdefs.ErrNotFound.
func (h *Handle) Index(name string) (int, error) {
	index, err := h.raw.Index(name)
	if errors.Is(err, unix.ENODEV) {
		return 0, fmt.Errorf("interface %s: is not there: %w", name, errdefs.ErrNotFound)
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return index, nil
}

// naming says what the interface of an index is called. The names of all
// interfaces are a list that is as long as there are ports on the host.
type naming func(index int) string

// names knows all interfaces that there are now.
func (h *Handle) names() (naming, error) {
	all, err := h.Interfaces()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(all))
	for _, i := range all {
		names[i.Index] = i.Name
	}
	return func(index int) string { return names[index] }, nil
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

// gone reports whether err says that the link no longer exists.
func gone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.As(err, &netlink.LinkNotFoundError{})
}
