// Package hostdevice is the network plugin "host-device": an interface of the
// host is lent to one container at a time and given back as it was.
//
// The runtime moves the interface in; the plugin takes it back, by way of the
// namespace that it has open for as long as the port is held. So neither the
// container nor its runtime has to do anything for it, alive or killed, and
// the kernel does not get to destroy a virtual interface with its namespace.
package hostdevice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/hostinterface"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// VariantExclusive lends the interface to one container at a time.
const VariantExclusive = "exclusive"

// Network is one interface of the host.
type Network struct {
	hostinterface.Reporter

	id        string
	log       *slog.Logger
	host      *netns.Namespace
	directory string // for the record; empty: none is kept

	mu   sync.Mutex
	name string              // guarded by mu; set by Start
	mac  resource.MACAddress // guarded by mu; that it has on the host
	lent device              // guarded by mu; without a key: to nobody
	// subnets are those of the network; guarded by mu, set by Start.
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
	host, err := netns.Current()
	if err != nil {
		return nil, err
	}
	n, err := newIn(host, c)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return n, nil
}

func newIn(host *netns.Namespace, c networkplugin.Configuration) (*Network, error) {
	var variantErr error
	if c.Variant != VariantExclusive {
		variantErr = fmt.Errorf("variant %q: want %q: %w", c.Variant, VariantExclusive, errdefs.ErrInvalidArgument)
	}
	err := errors.Join(variantErr, networkplugin.RefuseUnknown(c.Options, optionDevice, hostinterface.OptionGateway4, hostinterface.OptionGateway6))
	if err != nil {
		return nil, err
	}
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	n := &Network{id: c.ID, log: log, host: host, directory: c.StateDirectory}
	n.Reporter = hostinterface.Reporter{Host: host, Fault: n.fault, Place: n.place}
	return n, nil
}

// Start finds the interface, on the host or in the container that has it; one
// that an ended container left behind is made what it was.
func (n *Network) Start(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	links, err := link.Open(n.host)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	defer links.Close()
	name := c.Options[optionDevice]
	if name == "" {
		return networkplugin.Realization{}, fmt.Errorf("option device: give the host interface to lend, like device=eth1: %w", errdefs.ErrInvalidArgument)
	}
	d, err := n.adopt(links, c.Ports)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	if d.Key == "" {
		if d, err = atHome(links, name); err != nil {
			return networkplugin.Realization{}, err
		}
	}
	r, err := choose(links, d, c)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.name, n.mac, n.subnets = d.Name, d.MAC, []netip.Prefix{r.IPv4Subnet, r.IPv6Subnet}
	if d.Key != "" {
		n.lent = d
	}
	return r, nil
}

// atHome describes an interface that can be lent.
func atHome(links *link.Handle, name string) (device, error) {
	way, err := uplink(links)
	if err != nil {
		return device{}, err
	}
	d, i, err := look(links, name)
	if err != nil {
		return device{}, fmt.Errorf("option device=%s: %w", name, err)
	}
	return d, fit(i, way)
}

// adopt returns the record of an interface that is lent, one without a key when
// it is not. The container may have ended while the plugin was not there.
func (n *Network) adopt(links *link.Handle, ports []networkplugin.Port) (device, error) {
	d, err := n.read()
	if err != nil || d.Key == "" {
		return device{}, err
	}
	if slices.ContainsFunc(ports, func(p networkplugin.Port) bool { return p.Key == d.Key }) {
		return d, nil
	}
	if err := n.takeHome(links, d); err != nil {
		return device{}, err
	}
	return device{}, n.erase()
}

// Plan names the interface. It keeps the MAC address that it has unless another
// one is asked for: what is on the other side may know it by that.
func (n *Network) Plan(p networkplugin.Port, options map[string]string) (any, error) {
	if err := networkplugin.RefuseUnknown(options); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	parameters := resource.HostDeviceParameters{Device: n.name, MAC: p.Attachment.MACAddress}
	if p.AutomaticMAC {
		parameters.MAC = n.mac
	}
	return parameters, nil
}

// Admit lends the interface to a port and writes down what it was. Its runtime
// moves it then.
func (n *Network) Admit(_ context.Context, p networkplugin.Port) error {
	n.mu.Lock()
	name, lent := n.name, n.lent
	if lent.Key == "" {
		n.lent = device{Name: name, Key: p.Key, Owner: p.Owner}
	}
	n.mu.Unlock()
	switch {
	case lent.Key == p.Key: // held anew
		return nil
	case lent.Key != "":
		return fmt.Errorf("device %s: container %s has it, stop that first: %w", name, lent.Owner, errdefs.ErrResourceExhausted)
	case p.NetworkNamespace == "":
		n.keep(device{})
		return fmt.Errorf("device %s: the sandbox has no network namespace to move it to: %w", name, errdefs.ErrFailedPrecondition)
	}
	d, err := n.lend(name, p)
	n.keep(d)
	return err
}

// lend returns a device without a key on an error.
func (n *Network) lend(name string, p networkplugin.Port) (device, error) {
	links, err := link.Open(n.host)
	if err != nil {
		return device{}, err
	}
	defer links.Close()
	d, err := atHome(links, name)
	if err != nil {
		return device{}, err
	}
	i, err := links.Interface(name)
	if err != nil {
		return device{}, err
	}
	d.Key, d.Owner = p.Key, p.Owner
	if err := n.write(d); err != nil {
		return device{}, err
	}
	if err := links.SetAlias(i.Index, link.OwnerAlias(n.id)); err != nil {
		return device{}, errors.Join(err, n.erase())
	}
	return d, nil
}

func (n *Network) keep(d device) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lent = d
}

// Expel takes the interface back from a port, whose namespace is still open
// here though its processes may be gone.
func (n *Network) Expel(_ context.Context, p networkplugin.Port) error {
	n.mu.Lock()
	d := n.lent
	n.mu.Unlock()
	if d.Key != p.Key {
		return nil // it never had it, or has it no longer
	}
	if err := n.fetch(d, p); err != nil {
		return fmt.Errorf("device %s: take it back from %s: %w", d.Name, p.Owner, err)
	}
	links, err := link.Open(n.host)
	if err != nil {
		return err
	}
	defer links.Close()
	if err := n.takeHome(links, d); err != nil {
		return err
	}
	if err := n.erase(); err != nil {
		return err
	}
	n.keep(device{})
	return nil
}

// fetch moves the interface out of a port's namespace if it is there.
func (n *Network) fetch(d device, p networkplugin.Port) error {
	if p.NetworkNamespace == "" {
		return nil
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
	i, found := d.find(all, link.OwnerAlias(n.id), &p.Attachment)
	if !found {
		return nil
	}
	// So that it is known for what it is if more than this goes wrong.
	if err := links.SetAlias(i.Index, link.OwnerAlias(n.id)); err != nil {
		return err
	}
	return links.MoveIndex(i.Index, link.Peer{Namespace: n.host, Name: d.Name, MAC: d.MAC, MTU: d.MTU})
}

// takeHome makes the interface what it was, if it is on the host. One that is
// gone cannot be brought back; the state of the network tells.
func (n *Network) takeHome(links *link.Handle, d device) error {
	all, err := links.Interfaces()
	if err != nil {
		return err
	}
	i, found := d.find(all, link.OwnerAlias(n.id), nil)
	if !found {
		n.log.Warn("device is gone", "device", d.Name, "container", d.Owner)
		return nil
	}
	return d.settle(links, i)
}

// place returns the interface's name on the host and the subnets of the network.
func (n *Network) place() (string, []netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.name, n.subnets
}

// fault says what is wrong with the interface, or nothing.
func (n *Network) fault(links *link.Handle) string {
	n.mu.Lock()
	name, lent := n.name, n.lent.Key != ""
	n.mu.Unlock()
	if lent {
		return ""
	}
	switch _, err := links.Interface(name); {
	case errdefs.IsNotFound(err):
		return fmt.Sprintf("device %s: the interface is gone", name)
	case err != nil:
		return err.Error()
	}
	return ""
}

// Stop forgets the interface, which is on the host: with remove all ports have
// been expelled.
func (n *Network) Stop(_ context.Context, remove bool) error {
	if !remove {
		return nil
	}
	n.mu.Lock()
	lent := n.lent
	n.mu.Unlock()
	if lent.Key != "" {
		return fmt.Errorf("device %s: container %s still has it: %w", lent.Name, lent.Owner, errdefs.ErrUnavailable)
	}
	return n.erase()
}
