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

	"patchbay.dev/patchbay/internal/hostinterface"
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
	hostinterface.Reporter

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
	err := errors.Join(variantErr, networkplugin.RefuseUnknown(c.Options, optionParent, hostinterface.OptionGateway4, hostinterface.OptionGateway6))
	if err != nil {
		return nil, err
	}
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	n := &Network{mode: mode, log: log, host: host}
	n.Reporter = hostinterface.Reporter{Host: host, Fault: n.parentFault, Place: n.place}
	return n, nil
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
	parent, _ := n.place()
	return resource.MacvlanParameters{Parent: parent, Mode: n.mode}, nil
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

// parentFault says what is wrong with the parent, or nothing.
func (n *Network) parentFault(links *link.Handle) string {
	parent, _ := n.place()
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

// place returns the parent's name and the subnets of the network.
func (n *Network) place() (string, []netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parent, n.subnets
}
