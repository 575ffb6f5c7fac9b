// Package firewall keeps the part of the host's packet filter that belongs to
// Patchbay: one nftables table in each of the families inet and bridge, shared
// by all networks of a network namespace. Foreign tables are neither read nor
// changed.
//
// Rules are fixed; what belongs to one network or one port is an element of a
// set or map, looked up by a hash of interface names and addresses. The cost of
// a packet and of a change does therefore not grow with their number.
//
// Every network is served by its own process, and all of them share the
// tables without knowing one another. Adding is idempotent, each element
// carries the id of its network as its comment, and a network removes its own
// alone. The last one to leave removes the tables: the kernel refuses to delete
// a chain to which any element of a verdict map leads, and the tables go in the
// same transaction as these chains or not at all.
package firewall

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/firewall/connection"
	"patchbay.dev/patchbay/internal/firewall/ruleset"
	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// Reach says how far the traffic of a network goes.
type Reach int

const (
	// NAT networks reach the outside under the host's addresses; nobody outside
	// can open a connection into them.
	NAT Reach = iota
	// Internal networks end at their bridge: nothing is forwarded from or to
	// them.
	Internal
)

// HostAccess says what a network reaches of the host itself. Answers to
// connections that the host opened and neighbour discovery always pass.
type HostAccess int

const (
	// HostNone networks are answered pings of the bridge's own addresses alone.
	HostNone HostAccess = iota
	// HostGateway networks reach services on the bridge's own addresses.
	HostGateway
	// HostAll networks reach services on all of the host's addresses.
	HostAll
)

const (
	// TableName is the name of the tables.
	TableName = ruleset.Name
	// PortPrefix is how the names of all ports begin whose senders are checked.
	PortPrefix = ruleset.PortPrefix
	// LoopbackMark is the mark of packets that come in by a bridge and may be for a
	// loopback address of the host.
	LoopbackMark = ruleset.LoopbackMark
)

// Config describes the network.
type Config struct {
	Network   string // id
	Bridge    string // host interface name
	Reach     Reach
	Host      HostAccess
	Namespace *netns.Namespace // nil: that of the process
	Listener  hostnews.Place   // of that namespace, which hears of the packet filter
	Log       *slog.Logger     // nil: slog.Default
}

// Port is an interface of the host together with all that may come in by it:
// frames from the MAC address and the IP addresses. The link-local address that
// the kernel makes of the MAC address goes without saying.
type Port struct {
	Interface string // begins with PortPrefix
	MAC       resource.MACAddress
	Addresses []netip.Addr
}

// Network is the part of one network in the tables: its desired state.
type Network struct {
	config Config

	mu    sync.Mutex
	ports map[string]Port // by interface; guarded by mu
	// published are the forwarded ports by their owners; guarded by mu.
	published map[string][]Forward
	// plain says that the kernel has no bridge family; guarded by mu.
	plain bool
	// serving is false before the first Ensure and after Remove; guarded by mu.
	serving bool

	// applying makes changes in the kernel happen in the order of the changes
	// of the desired state.
	applying sync.Mutex
	kernel   connection.Connection // guarded by applying
	// whole says that the kernel has nothing of the network but what is desired; guarded by
	// applying. To look for more takes the longer the more networks there are.
	whole bool
}

// New returns the network's part, which is nowhere yet.
func New(c Config) *Network {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Network{config: c, ports: map[string]Port{}, published: map[string][]Forward{}, kernel: connection.To(c.Namespace)}
}

// Ensure makes the tables and the network's elements what they should be. It
// may be called at any time and repairs what was flushed. Elements of ports that
// an earlier process admitted stay.
func (n *Network) Ensure() error {
	n.applying.Lock()
	defer n.applying.Unlock()
	return n.ensure()
}

// EnsureFirst is Ensure for a network of which no earlier process can have left anything.
func (n *Network) EnsureFirst() error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.whole = true
	return n.ensure()
}

// EnsurePorts is Ensure with these as the only ports: what an earlier process
// admitted beside them is removed, and what it published for others than them.
func (n *Network) EnsurePorts(live []Port) error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	clear(n.ports)
	for _, p := range live {
		n.ports[p.Interface] = p
	}
	n.mu.Unlock()
	if err := n.ensure(); err != nil {
		return err
	}
	if err := n.adopt(live); err != nil {
		return fmt.Errorf("nftables: look for published ports: %w", kindOf(err))
	}
	if err := n.removeElements(n.desired(n.isPlain())); err != nil {
		return fmt.Errorf("nftables: remove old elements: %w", kindOf(err))
	}
	n.whole = true
	return nil
}

func (n *Network) ensure() error {
	err := n.apply(n.isPlain())
	if ruleset.Unsupported(err) && !n.isPlain() {
		n.config.Log.Warn("the kernel has no nftables bridge family; senders are not checked", "module", "CONFIG_NF_TABLES_BRIDGE")
		err = n.apply(true)
		if err == nil {
			n.mu.Lock()
			n.plain = true
			n.mu.Unlock()
		}
	}
	if err == nil {
		err = n.restoreForwards()
	}
	if err != nil {
		return fmt.Errorf("nftables: %w", kindOf(err))
	}
	n.mu.Lock()
	n.serving = true
	n.mu.Unlock()
	return nil
}

// patience is how long a network waits for another one that makes the tables: several times as long as
// that takes on a busy machine.
const patience = 2 * time.Second

// apply adds what is the network's, and before that the tables and their rules unless
// they are there, or those of a later release are.
func (n *Network) apply(plain bool) error {
	// Of all networks that miss the tables one makes them. That all did would be told to all, for
	// whom it is a removal of rules, which they look into.
	add := func() error { return n.add(plain) }
	return netns.Shared{Namespace: n.config.Namespace, Log: n.config.Log, Patience: patience}.Use(add, func() error { return n.make(plain) })
}

// make makes the tables and their rules, and adds what is the network's.
func (n *Network) make(plain bool) error {
	return n.kernel.Tables(func(c *nftables.Conn) error {
		for _, t := range ruleset.Tables(plain) {
			if err := t.Add(c); err != nil {
				return err
			}
		}
		return connection.Add(c, n.sure(plain))
	})
}

// add adds what is the network's. Without the tables, or with those of an earlier release, it
// is unix.ENOENT.
func (n *Network) add(plain bool) error {
	found := ruleset.Faulty
	err := n.kernel.Tables(func(c *nftables.Conn) (err error) {
		found, _, err = ruleset.Compare(c, ruleset.Tables(plain))
		return err
	})
	if err != nil {
		return err
	}
	if found == ruleset.Faulty {
		return unix.ENOENT
	}
	return n.kernel.Add(n.sure(plain)) // the last other network may take the tables away meanwhile
}

// Admit lets what comes in by the port through.
func (n *Network) Admit(p Port) error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	n.ports[p.Interface] = p
	n.mu.Unlock()
	err := n.kernel.Add(n.portElements(p, n.isPlain()))
	if errors.Is(err, unix.ENOENT) { // flushed, and not healed yet
		return n.ensure()
	}
	if err != nil {
		return fmt.Errorf("nftables: admit %s: %w", p.Interface, kindOf(err))
	}
	return nil
}

// Revoke lets nothing more in by the port. It succeeds when the port was not
// admitted.
func (n *Network) Revoke(p Port) error {
	n.applying.Lock()
	defer n.applying.Unlock()
	n.mu.Lock()
	delete(n.ports, p.Interface)
	n.mu.Unlock()
	err := n.kernel.Remove(n.portElements(p, n.isPlain()))
	if err != nil && !errors.Is(err, unix.ENOENT) { // no table, no right to send
		n.whole = false
		return fmt.Errorf("nftables: revoke %s: %w", p.Interface, kindOf(err))
	}
	return nil
}

// Remove takes all of the network out of the tables, whichever process put it
// there, and the tables away when it was the last.
func (n *Network) Remove() error {
	n.applying.Lock()
	defer n.applying.Unlock()
	var err error
	if n.whole {
		err = n.removeKnown()
	}
	n.mu.Lock()
	n.serving = false
	clear(n.ports)
	clear(n.published)
	n.mu.Unlock()
	if !n.whole || err != nil {
		err = n.removeFound()
	}
	if err != nil {
		return fmt.Errorf("nftables: remove the elements of network %s: %w", n.config.Network, kindOf(err))
	}
	n.whole = false
	if err := n.removeTables(); err != nil {
		return fmt.Errorf("nftables: remove tables: %w", kindOf(err))
	}
	return n.kernel.Close()
}

// removeKnown removes what is desired.
func (n *Network) removeKnown() error {
	if err := n.withdraw(n.forwards()); err != nil {
		return err
	}
	err := n.kernel.Remove(n.sure(n.isPlain()))
	if errors.Is(err, unix.ENOENT) { // no table, no element
		return nil
	}
	return err
}

// removeFound removes what a search of all sets finds.
func (n *Network) removeFound() (err error) {
	const attempts = 5 // others change the tables meanwhile
	for range attempts {
		if err = n.removeElements(nil); !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	return err
}

// removeElements removes those of the network's elements that are not to stay.
func (n *Network) removeElements(stay []element) error {
	var own []element
	err := n.kernel.Settled(func(c *nftables.Conn) error {
		present, err := ruleset.Present(c)
		if err == nil {
			own, err = n.ownElements(c, present)
		}
		return err
	})
	if err != nil {
		return err
	}
	stays := idsOf(stay)
	gone := slices.DeleteFunc(own, func(e element) bool { return stays[idOf(e.Set, e.Value.Key)] })
	return n.kernel.Tables(func(c *nftables.Conn) error { return connection.Remove(c, gone) })
}

// removeTables removes the tables unless another network is in them.
func (n *Network) removeTables() error {
	// To try and fail would keep all others waiting until nobody looks at what is put back.
	others, err := n.kernel.HasElements(ruleset.Inet(ruleset.SetBridges))
	if others || err != nil && !errors.Is(err, unix.ENOENT) { // without the set there may be the other table
		return err
	}
	err = n.kernel.Tables(func(c *nftables.Conn) error {
		present, err := ruleset.Present(c)
		if err != nil || len(present) == 0 {
			return err
		}
		ruleset.Delete(c, present)
		return c.Flush()
	})
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOENT) {
		return nil // others are in them, or were quicker
	}
	return err
}

func (n *Network) isPlain() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.plain
}

func kindOf(err error) error {
	switch {
	case ruleset.Unsupported(err), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel lacks a part of it; are the modules nf_tables, nft_masq, nft_ct and nft_fib_inet there? %w: %w",
			errdefs.ErrNotImplemented, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %w", errdefs.ErrPermissionDenied, err)
	}
	return err
}
