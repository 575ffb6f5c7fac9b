// Package macvlan is the network plugin "macvlan": containers with their own
// MAC addresses on the LAN of a host interface, the parent.
//
// The host itself gets nothing but what the kernel keeps for the parent: the
// interfaces are made by sandboxes, in their namespaces.
package macvlan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The variants of the plugin: the modes of macvlan that it offers.
const (
	VariantBridge  = "bridge"  // containers on the same parent reach one another
	VariantPrivate = "private" // they do not
)

// Network is one macvlan network. It keeps nothing open: whatever it needs to
// know of the host it looks up.
type Network struct {
	mode resource.MacvlanMode
	log  *slog.Logger
	host *netns.Namespace // nil: the process's

	mu     sync.Mutex
	parent string // guarded by mu, as is subnets; set by Start
	// subnets are those of the network.
	subnets []netip.Prefix
}

var (
	_ networkplugin.Network = (*Network)(nil)
	_ networkplugin.Checker = (*Network)(nil)
	_ networkplugin.Watcher = (*Network)(nil)
	_ networkplugin.Warner  = (*Network)(nil)
)

// New returns the network for a configuration, in the network namespace of the
// process.
func New(c networkplugin.Configuration) (networkplugin.Network, error) {
	n, err := newIn(nil, c)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func newIn(host *netns.Namespace, c networkplugin.Configuration) (*Network, error) {
	mode, variantErr := modeOf(c.Variant)
	err := errors.Join(variantErr, networkplugin.RefuseUnknown(c.Options, optionParent, optionGateway4, optionGateway6))
	if err != nil {
		return nil, err
	}
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	return &Network{mode: mode, log: log, host: host}, nil
}

func modeOf(variant string) (resource.MacvlanMode, error) {
	switch variant {
	case VariantBridge:
		return resource.MacvlanBridge, nil
	case VariantPrivate:
		return resource.MacvlanPrivate, nil
	}
	return "", fmt.Errorf("variant %q: want %q or %q: %w", variant, VariantBridge, VariantPrivate, errdefs.ErrInvalidArgument)
}

// Start finds the parent and sees that the kernel can make interfaces on it.
func (n *Network) Start(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	links, err := link.Open(n.host)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	defer links.Close()
	parent, err := findParent(links, c.Options[optionParent])
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r, err := choose(links, parent, c)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	if err := n.probe(links, parent.Name); err != nil {
		return networkplugin.Realization{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parent, n.subnets = parent.Name, []netip.Prefix{r.IPv4Subnet, r.IPv6Subnet}
	return r, nil
}

// probe makes an interface in a namespace that is dropped with it: only the
// kernel knows whether it can.
func (n *Network) probe(links *link.Handle, parent string) error {
	scratch, err := netns.New()
	if err != nil {
		return err
	}
	defer func() { _ = scratch.Close() }()
	return links.AddMacvlan(parent, n.mode, link.Peer{Namespace: scratch, Name: "probe0"})
}

// Plan names the parent and the mode.
func (n *Network) Plan(_ networkplugin.Port, options map[string]string) (any, error) {
	if err := networkplugin.RefuseUnknown(options); err != nil {
		return nil, err
	}
	return resource.MacvlanParameters{Parent: n.parentName(), Mode: n.mode}, nil
}

// Admit has nothing to do: the kernel delivers to the MAC address as soon as
// the interface exists.
func (n *Network) Admit(context.Context, networkplugin.Port) error { return nil }

// Expel deletes the port's interface inside its sandbox, whose processes may
// still be there. It goes by MAC address and by name: with CAP_NET_ADMIN, either
// can be changed.
func (n *Network) Expel(_ context.Context, p networkplugin.Port) error {
	if p.NetworkNamespace == "" {
		return nil // it never came to life
	}
	inside, err := netns.OpenPath(p.NetworkNamespace)
	if errdefs.IsNotFound(err) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = inside.Close() }()
	links, err := link.Open(inside)
	if err != nil {
		return err
	}
	defer links.Close()
	all, err := links.Interfaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range all {
		if (i.Kind == "macvlan" || i.Kind == "macvtap") && (i.MAC == p.Attachment.MACAddress || i.Name == p.Attachment.InterfaceName) {
			errs = append(errs, links.DeleteIndex(i.Index))
		}
	}
	return errors.Join(errs...)
}

// Check looks at the parent.
func (n *Network) Check(context.Context) []string {
	links, err := link.Open(n.host)
	if err != nil {
		return []string{err.Error()}
	}
	defer links.Close()
	if fault := n.parentFault(links); fault != "" {
		return []string{fault}
	}
	return nil
}

// Watch reports the network degraded while its parent carries no traffic.
func (n *Network) Watch(ctx context.Context, report func(resource.NetworkState, string)) {
	links, err := link.Open(n.host)
	if err != nil {
		report(resource.NetworkDegraded, err.Error())
		return
	}
	defer links.Close()
	last := "unknown"
	err = links.WatchLinks(ctx, func() {
		fault := n.parentFault(links)
		if fault == last {
			return
		}
		last = fault
		if fault != "" {
			report(resource.NetworkDegraded, fault)
			return
		}
		report(resource.NetworkReady, "")
	})
	if err != nil {
		report(resource.NetworkDegraded, err.Error())
	}
}

// Warn reports what of the network's subnets the host uses elsewhere than on the
// parent.
func (n *Network) Warn(ctx context.Context, report func([]string)) {
	links, err := link.Open(n.host)
	if err != nil {
		report([]string{err.Error()})
		return
	}
	defer links.Close()
	n.mu.Lock()
	parent, subnets := n.parent, n.subnets
	n.mu.Unlock()
	if err := links.WatchOverlaps(ctx, parent, subnets, report); err != nil {
		report([]string{err.Error()})
	}
}

// parentFault says what is wrong with the parent, or nothing.
func (n *Network) parentFault(links *link.Handle) string {
	parent := n.parentName()
	switch have, err := links.Interface(parent); {
	case errdefs.IsNotFound(err):
		return fmt.Sprintf("parent %s: the interface is gone", parent)
	case err != nil:
		return err.Error()
	case !have.Up:
		return fmt.Sprintf("parent %s: the interface is down", parent)
	case !have.Running:
		return fmt.Sprintf("parent %s: the interface has no carrier", parent)
	}
	return ""
}

// Stop has nothing to remove: the interfaces go with their sandboxes.
func (n *Network) Stop(context.Context, bool) error { return nil }

func (n *Network) parentName() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parent
}
