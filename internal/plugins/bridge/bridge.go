// Package bridge is the network plugin "bridge": one Linux bridge for each
// network, with the host as its router (variant nat) or with nothing beyond it
// (variant internal).
//
// The plugin owns the bridge and the network's elements of the packet filter.
// Ports are made by sandboxes, under names that the plugin chose: so it can take
// one off the network without asking anybody.
package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/fastpath"
	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/loopback"
	"patchbay.dev/patchbay/internal/link/overlaps"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The variants of the plugin.
const (
	VariantNAT      = "nat"
	VariantInternal = "internal"
)

// Prefixes of the names of host interfaces.
const (
	bridgePrefix = "pb-"
	// retiredPrefix is that of ports that were taken off a network and wait for
	// their deletion; it is not one of firewall.PortPrefix.
	retiredPrefix = "pbx"
)

// collection is how long the kernel may take to collect a port that lost its
// sandbox before it is deleted, and when it is looked at: mostly it has taken it the first time.
var collection = [...]time.Duration{time.Second, 2 * time.Second}

// Network is one bridge.
type Network struct {
	id     string
	reach  firewall.Reach
	access firewall.HostAccess
	fast   bool // the option
	bridge string
	log    *slog.Logger
	host   *netns.Namespace // nil: the process's
	// listener hears of the host for this and other networks, where it is not nowhere.
	listener hostnews.Place
	filter   *firewall.Network
	short    *shortcut
	direct   *connects

	stale stale

	// background is what nobody waits for: the deletions of links, what the host is to
	// forget, and the watch over the packet filter.
	background sync.WaitGroup

	mu      sync.Mutex
	links   *link.Handle // guarded by mu; nil: not open
	spec    link.BridgeSpec
	v6      bool // guarded by mu, as is spec: set by Start
	started bool // guarded by mu
	// loopback says that the bridge routes the host's loopback addresses; guarded by mu.
	loopback bool
	unwatch  func() // guarded by mu; nil: no healing
	// lookout has gathered what the host uses since a first start looked at it, for Warn;
	// guarded by mu, nil: another start, or Warn has it.
	lookout *overlaps.Lookout
	// stopping is closed by Stop; guarded by mu, nil before Start.
	stopping <-chan struct{}
}

var (
	_ networkplugin.Network = (*Network)(nil)
	_ networkplugin.Checker = (*Network)(nil)
	_ networkplugin.Updater = (*Network)(nil)
	_ networkplugin.Warner  = (*Network)(nil)
)

// New returns the network for a configuration, in the network namespace of the
// process. Nothing is made yet.
func New(c networkplugin.Configuration) (networkplugin.Network, error) {
	n, err := newIn(nil, c)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func newIn(host *netns.Namespace, c networkplugin.Configuration) (*Network, error) {
	reach, variantErr := reachOf(c.Variant)
	_, familyErr := familiesOf(c)
	access, accessErr := hostAccessOf(c.Options)
	fast, fastErr := onOff(c.Options, optionFastPath)
	known := networkplugin.RefuseUnknown(c.Options, optionIPv4, optionIPv6, optionHostAccess, optionFastPath)
	err := errors.Join(variantErr, known, familyErr, accessErr, fastErr)
	if err != nil {
		return nil, err
	}
	if len(c.ID) < 12 {
		return nil, fmt.Errorf("network id %q: want 16 hexadecimal digits: %w", c.ID, errdefs.ErrInvalidArgument)
	}
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	n := &Network{id: c.ID, reach: reach, access: access, fast: fast, bridge: bridgePrefix + c.ID[:12], log: log, host: host}
	n.short, n.direct = newShortcut(host, n.bridge, fast, log), newConnects(host, fast, log)
	if host == nil && c.StateDirectory != "" {
		n.listener = listenerOf(c)
	}
	n.filter = firewall.New(firewall.Config{
		Network: c.ID, Bridge: n.bridge, Reach: reach, Host: access, Namespace: host, Listener: n.listener, Log: log,
	})
	return n, nil
}

func reachOf(variant string) (firewall.Reach, error) {
	switch variant {
	case VariantNAT:
		return firewall.NAT, nil
	case VariantInternal:
		return firewall.Internal, nil
	}
	return 0, fmt.Errorf("variant %q: want %q or %q: %w", variant, VariantNAT, VariantInternal, errdefs.ErrInvalidArgument)
}

// Start makes the bridge and its part of the packet filter, or adopts and
// repairs them.
func (n *Network) Start(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	links, err := n.open()
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r, err := n.chooseWatched(links, c)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	spec := n.specOf(r)
	v6 := r.IPv6Subnet.IsValid()
	repair := n.isStarted()
	n.heal() // from before there is something to be removed
	// The filter comes first: at no time is there an open bridge.
	if err := n.ensureFilter(c, repair); err != nil {
		return networkplugin.Realization{}, err
	}
	if n.reach == firewall.NAT {
		if err := links.Inside(func() error { return sysctl.EnableForwarding(v6) }); err != nil {
			return networkplugin.Realization{}, err
		}
	}
	if err := links.EnsureBridge(spec); err != nil {
		return networkplugin.Realization{}, err
	}
	if !repair {
		if err := n.takeUp(links, c); err != nil {
			return networkplugin.Realization{}, err
		}
	}
	if n.filter.Publishes() { // by an earlier process, or this is a repair
		if err := loopback.Route(n.host, n.bridge, firewall.LoopbackMark); err != nil {
			n.log.Warn("published ports may not be reached at loopback addresses", "error", err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spec, n.v6, n.started = spec, v6, true
	return n.reachable(r), nil
}

// Update changes the MTU of the bridge, which counts for new attachments; ports
// keep theirs. Options cannot change: the packet filter is made of them.
func (n *Network) Update(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	links, err := n.open()
	if err != nil {
		return networkplugin.Realization{}, err
	}
	if err := n.keepsOptions(c); err != nil {
		return networkplugin.Realization{}, err
	}
	r, err := n.choose(links, c)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	spec := n.specOf(r)
	if err := links.EnsureBridge(spec); err != nil {
		return networkplugin.Realization{}, err
	}
	n.mu.Lock()
	n.spec = spec
	n.mu.Unlock()
	return n.reachable(r), nil
}

// keepsOptions refuses a change of those that what is on the host is made of.
func (n *Network) keepsOptions(c networkplugin.Configuration) error {
	access, accessErr := hostAccessOf(c.Options)
	fast, fastErr := onOff(c.Options, optionFastPath)
	if err := errors.Join(accessErr, fastErr); err != nil {
		return err
	}
	for option, same := range map[string]bool{optionHostAccess: access == n.access, optionFastPath: fast == n.fast} {
		if !same {
			return fmt.Errorf("option %s: cannot change while the network serves: %w", option, errdefs.ErrFailedPrecondition)
		}
	}
	return nil
}

// isNew reports whether nothing of the network can be on the host: no process has
// served it before. To look for that takes the longer the more networks there are.
func isNew(c networkplugin.Configuration) bool { return !c.Adopted && len(c.Ports) == 0 }

// ensureFilter sets the packet filter up for the ports that an earlier process
// left and forgets others. A repair keeps what this process knows, which may be
// more: ports are admitted meanwhile.
func (n *Network) ensureFilter(c networkplugin.Configuration, repair bool) error {
	switch {
	case repair:
		return n.filter.Ensure()
	case isNew(c):
		return n.filter.EnsureFirst()
	}
	live := make([]firewall.Port, len(c.Ports))
	for i, p := range c.Ports {
		live[i] = n.filterPort(p)
	}
	return n.filter.EnsurePorts(live)
}

// heal watches the packet filter until Stop.
func (n *Network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unwatch != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.unwatch, n.stopping = cancel, ctx.Done()
	watch, err := n.filter.Watch()
	if err != nil {
		n.log.Error("the packet filter is not watched", "error", err)
		return
	}
	n.background.Go(func() { watch.Heal(ctx) })
}

// takeUp adopts the ports that an earlier process left, and watches for those to come.
func (n *Network) takeUp(links *link.Handle, c networkplugin.Configuration) error {
	n.mu.Lock()
	stopping := n.stopping
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	n.background.Go(func() { <-stopping; cancel() })
	n.short.begin(ctx, links, &n.background)
	if isNew(c) {
		return nil
	}
	live := map[string]fastpath.Port{}
	for _, p := range c.Ports {
		live[n.portName(p.Key)] = fastPort(p)
	}
	return errors.Join(n.sweep(links, c.Ports), n.short.adopt(links, live))
}

// sweep removes ports of sandboxes that are gone.
func (n *Network) sweep(links *link.Handle, live []networkplugin.Port) error {
	names := map[string]bool{}
	for _, p := range live {
		names[n.portName(p.Key)] = true
	}
	ports, err := links.Ports(n.bridge)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if !names[p.Name] {
			n.discard(links, p.Index)
		}
	}
	return nil
}

// discard deletes a link in the background, unless it is gone when it is looked at, a time
// after the look before. An expelled port is looked at: mostly its sandbox's namespace is on its way out and takes the link along, many in the time
// that one takes by itself. Nobody else's links wait meanwhile, unlike with a deletion.
func (n *Network) discard(links *link.Handle, index int, looks ...time.Duration) {
	n.mu.Lock()
	stopping := n.stopping
	n.mu.Unlock()
	n.background.Go(func() {
		for _, wait := range looks {
			select {
			case <-time.After(wait):
			case <-stopping:
			}
			if exists, err := links.Exists(index); err == nil && !exists {
				return
			}
		}
		if err := links.DeleteIndex(index); err != nil {
			n.log.Warn("a port that is out of use cannot be deleted", "error", err)
		}
	})
}

// Plan names the bridge and the port.
func (n *Network) Plan(p networkplugin.Port, options map[string]string) (any, error) {
	if err := networkplugin.RefuseUnknown(options); err != nil {
		return nil, err
	}
	return resource.BridgePortParameters{Bridge: n.bridge, Port: n.portName(p.Key), Familiar: p.Familiar}, nil
}

// Admit lets the port send from its own addresses.
func (n *Network) Admit(_ context.Context, p networkplugin.Port) error {
	if err := n.forgetStale(addressesOf(p)); err != nil {
		return err
	}
	n.short.admit(n.portName(p.Key), fastPort(p))
	return n.filter.Admit(n.filterPort(p))
}

// Expel takes away the port's right to send, sets it down and frees its name;
// the link itself is deleted later.
func (n *Network) Expel(_ context.Context, p networkplugin.Port) error {
	links, err := n.open()
	if err != nil {
		return err
	}
	revoked := errors.Join(n.short.revoke(n.portName(p.Key), fastPort(p)), n.filter.Revoke(n.filterPort(p)))
	index, err := links.Retire(n.portName(p.Key), n.bridge, retiredPrefix, addressesOf(p))
	switch {
	case errdefs.IsNotFound(err): // its sandbox has taken it along
		n.forget(links, addressesOf(p))
		err = nil
	case err == nil:
		n.discard(links, index, collection[:]...)
	}
	return errors.Join(revoked, err)
}

// Check compares bridge, packet filter and sysctls with what they should be.
func (n *Network) Check(context.Context) []string {
	n.mu.Lock()
	links, spec, v6, started, routed := n.links, n.spec, n.v6, n.started, n.loopback
	n.mu.Unlock()
	if !started {
		return []string{"the network is not started"}
	}
	faults := append(links.BridgeFaults(spec), n.filter.Faults()...)
	if routed {
		faults = append(faults, loopback.Faults(n.host, n.bridge)...)
	}
	if n.reach == firewall.NAT {
		err := links.Inside(func() error {
			faults = append(faults, sysctl.ForwardingFaults(v6)...)
			return nil
		})
		if err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// Stop ends the watch; with remove, bridge, ports and elements of the packet
// filter go. Forwarding stays on: others may rely on it.
func (n *Network) Stop(_ context.Context, remove bool) error {
	links, err := n.open()
	if err != nil {
		return err
	}
	n.mu.Lock()
	if n.unwatch != nil {
		n.unwatch()
		n.unwatch = nil
	}
	n.started = false
	n.mu.Unlock()
	n.keepLookout(nil)
	if remove {
		err = n.remove(links)
	}
	err = errors.Join(err, n.direct.end())
	n.background.Wait()
	err = errors.Join(err, n.short.end())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = nil
	links.Close()
	return err
}

func (n *Network) remove(links *link.Handle) error {
	ports, err := links.Ports(n.bridge)
	if err != nil {
		return err
	}
	for _, p := range ports {
		n.discard(links, p.Index, 0)
	}
	return errors.Join(n.deleteBridge(links), n.filter.Remove())
}

// deleteBridge leaves alone a link of that name that is not the network's.
func (n *Network) deleteBridge(links *link.Handle) error {
	have, err := links.Interface(n.bridge)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !link.OwnBridge(have, link.BridgeSpec{Alias: link.OwnerAlias(n.id), MAC: n.mac()}) {
		return nil
	}
	n.mu.Lock()
	addresses := n.spec.Addresses
	n.mu.Unlock()
	return links.DeleteBridge(have.Index, addresses)
}

func (n *Network) isStarted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.started
}

func (n *Network) open() (*link.Handle, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links != nil {
		return n.links, nil
	}
	h, err := link.Open(n.host)
	if err != nil {
		return nil, err
	}
	n.links = h
	return h, nil
}

// portName is the host interface name of a port: the same for the same
// attachment, 15 bytes long as Linux allows at most.
func (n *Network) portName(key string) string {
	sum := sha256.Sum256([]byte(n.id + "\x00" + key))
	return firewall.PortPrefix + hex.EncodeToString(sum[:6])
}

func (n *Network) mac() resource.MACAddress { return macaddress.Stable(n.id, "bridge") }

func (n *Network) filterPort(p networkplugin.Port) firewall.Port {
	return firewall.Port{Interface: n.portName(p.Key), MAC: p.Attachment.MACAddress, Addresses: addressesOf(p)}
}

func addressesOf(p networkplugin.Port) []netip.Addr {
	var all []netip.Addr
	for _, prefix := range []netip.Prefix{p.Attachment.IPv4Address, p.Attachment.IPv6Address} {
		if prefix.IsValid() {
			all = append(all, prefix.Addr())
		}
	}
	return all
}
