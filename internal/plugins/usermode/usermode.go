// Package usermode is the network plugin "usermode": a switch and a router in the
// plugin's own process. The host gets no interface, no address and no rule; what
// containers send to the outside goes by sockets of the plugin.
package usermode

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/frameswitch"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/overlaps"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/userstack"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// The variants of the plugin.
const (
	VariantNAT      = "nat"      // containers reach one another and the outside
	VariantInternal = "internal" // they reach one another
)

// Network is one network.
type Network struct {
	id     string
	router bool // it has one: the variant is nat
	access hostAccess
	log    *slog.Logger
	host   *netns.Namespace // nil: the process's

	mu      sync.Mutex
	running *running // guarded by mu; nil before Start
}

// running is what Start makes and Stop ends.
type running struct {
	directory string // of the ports' sockets
	ports     *frameswitch.Switch
	stack     *userstack.Stack // nil: no router
	links     *link.Handle
	gateways  []netip.Addr
	subnets   []netip.Prefix
}

var (
	_ networkplugin.Network = (*Network)(nil)
	_ networkplugin.Checker = (*Network)(nil)
	_ networkplugin.Updater = (*Network)(nil)
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
	var variantErr error
	if c.Variant != VariantNAT && c.Variant != VariantInternal {
		variantErr = fmt.Errorf("variant %q: want %q or %q: %w", c.Variant, VariantNAT, VariantInternal, errdefs.ErrInvalidArgument)
	}
	access, accessErr := hostAccessOf(c)
	err := errors.Join(variantErr, networkplugin.RefuseUnknown(c.Options, optionHostAccess), accessErr)
	if err != nil {
		return nil, err
	}
	log := c.Log
	if log == nil {
		log = slog.Default()
	}
	return &Network{id: c.ID, router: c.Variant == VariantNAT, access: access, log: log, host: host}, nil
}

// Start makes the switch and the router, with the ports of an earlier process. When
// it runs already, sockets of ports whose files are gone are made again.
func (n *Network) Start(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	links, err := link.Open(n.host)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r, err := n.choose(links, c)
	if err != nil {
		links.Close()
		return networkplugin.Realization{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		links.Close()
		return r, n.running.ports.Repair()
	}
	run, err := n.begin(links, c, r)
	if err != nil {
		return networkplugin.Realization{}, err
	}
	n.running = run
	return r, nil
}

// Update changes the MTU, which counts for new attachments. Options cannot change.
func (n *Network) Update(_ context.Context, c networkplugin.Configuration) (networkplugin.Realization, error) {
	run, err := n.started()
	if err != nil {
		return networkplugin.Realization{}, err
	}
	access, err := hostAccessOf(c)
	if err == nil && access != n.access {
		err = fmt.Errorf("option %s: cannot change while the network serves: %w", optionHostAccess, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		return networkplugin.Realization{}, err
	}
	r, err := n.choose(run.links, c)
	if err == nil && run.stack != nil {
		run.stack.SetMTU(r.MTU)
	}
	return r, err
}

// begin takes links over.
func (n *Network) begin(links *link.Handle, c networkplugin.Configuration, r networkplugin.Realization) (*running, error) {
	mac := macaddress.Stable(n.id, "router")
	run := &running{directory: c.StateDirectory, links: links}
	for _, gateway := range []netip.Addr{r.IPv4Gateway, r.IPv6Gateway} {
		if gateway.IsValid() {
			run.gateways = append(run.gateways, gateway)
		}
	}
	for _, subnet := range []netip.Prefix{r.IPv4Subnet, r.IPv6Subnet} {
		if subnet.IsValid() {
			run.subnets = append(run.subnets, subnet)
		}
	}
	config := frameswitch.Config{Log: n.log}
	if n.router {
		stack, err := userstack.New(userstack.Config{
			MAC: mac, MTU: r.MTU, Gateways: run.gateways, Outside: n.host,
			Reach: func(a netip.Addr) (netip.Addr, error) { return n.reach(run, a) },
			Send:  func(to userstack.MAC, parts ...[]byte) { run.ports.Send(to, parts...) },
		})
		if err != nil {
			links.Close()
			return nil, err
		}
		run.stack, config.Router, config.RouterMAC = stack, stack.Input, frameswitch.MAC(mac.HardwareAddr())
	}
	run.ports = frameswitch.New(config)
	if err := run.adopt(c.Ports); err != nil {
		run.close()
		return nil, err
	}
	return run, nil
}

// adopt opens the ports whose sandboxes may live, and removes the sockets of others.
func (r *running) adopt(live []networkplugin.Port) error {
	wanted := map[string]bool{}
	for _, p := range live {
		wanted[socketName(p.Key)] = true
		if err := r.add(p); err != nil {
			return err
		}
	}
	return r.sweep(wanted)
}

// sweep removes the sockets of all but the wanted names.
func (r *running) sweep(wanted map[string]bool) error {
	files, err := os.ReadDir(r.directory)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	var errs []error
	for _, f := range files {
		if f.Type() == fs.ModeSocket && !wanted[f.Name()] {
			errs = append(errs, os.Remove(filepath.Join(r.directory, f.Name())))
		}
	}
	return errors.Join(errs...)
}

func (r *running) close() {
	if r.stack != nil {
		r.stack.Close()
	}
	r.ports.Close()
	r.links.Close()
}

// socketName is short: the path of a socket has room for 107 bytes. It is the same
// whenever the same attachment is started.
func socketName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:9]
}

// Plan names the socket that the port's frames go over. No option is known.
func (n *Network) Plan(p networkplugin.Port, options map[string]string) (any, error) {
	if err := networkplugin.RefuseUnknown(options); err != nil {
		return nil, err
	}
	run, err := n.started()
	if err != nil {
		return nil, err
	}
	return resource.TapStreamParameters{Socket: filepath.Join(run.directory, socketName(p.Key))}, nil
}

// Admit opens the port's socket.
func (n *Network) Admit(_ context.Context, p networkplugin.Port) error {
	run, err := n.started()
	if err != nil {
		return err
	}
	return run.add(p)
}

func (r *running) add(p networkplugin.Port) error {
	a := p.Attachment
	hw := a.MACAddress.HardwareAddr()
	if hw == nil {
		return fmt.Errorf("port %s: has no mac address: %w", p.Key, errdefs.ErrInvalidArgument)
	}
	mac := frameswitch.MAC(hw)
	err := r.ports.Add(frameswitch.Port{
		Socket: filepath.Join(r.directory, socketName(p.Key)),
		Sender: frameswitch.Sender{MAC: mac, IPv4: a.IPv4Address.Addr(), IPv6: a.IPv6Address.Addr()},
	})
	if err != nil || r.stack == nil {
		return err
	}
	for _, address := range addresses(p) {
		if err := r.stack.AddNeighbour(address, mac); err != nil {
			return err
		}
	}
	return nil
}

// Expel closes the port's socket and ends its connections to the outside.
func (n *Network) Expel(_ context.Context, p networkplugin.Port) error {
	run, err := n.started()
	if err != nil {
		return nil //nolint:nilerr // a network that is not started has no ports
	}
	if hw := p.Attachment.MACAddress.HardwareAddr(); hw != nil {
		run.ports.Remove(frameswitch.MAC(hw))
	}
	if run.stack != nil {
		for _, address := range addresses(p) {
			run.stack.RemoveNeighbour(address)
		}
	}
	return nil
}

func addresses(p networkplugin.Port) []netip.Addr {
	var all []netip.Addr
	for _, a := range []netip.Prefix{p.Attachment.IPv4Address, p.Attachment.IPv6Address} {
		if a.IsValid() {
			all = append(all, a.Addr())
		}
	}
	return all
}

// Warn reports what of the network's subnets the host has come to use.
func (n *Network) Warn(ctx context.Context, report func([]string)) {
	run, err := n.started()
	if err == nil {
		err = overlaps.Watch(ctx, run.links, "", run.subnets, report)
	}
	if err != nil {
		report([]string{err.Error()})
	}
}

// Check reports the ports whose sockets' files are gone, as a cleaner of temporary
// files takes them: their containers would not come back after a broken connection.
// There is nothing else of the network on the host.
func (n *Network) Check(context.Context) []string {
	run, err := n.started()
	if err != nil {
		return []string{err.Error()}
	}
	lost := run.ports.Lost()
	for i, socket := range lost {
		lost[i] = fmt.Sprintf("port %s: the file of its socket is gone; its container keeps the connection that it has, and gets no other", socket)
	}
	return lost
}

// Stop ends the switch and the router. Sandboxes connect again to the next one.
func (n *Network) Stop(context.Context, bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running != nil {
		n.running.close()
		n.running = nil
	}
	return nil
}

func (n *Network) started() (*running, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running == nil {
		return nil, fmt.Errorf("the network is not started: %w", errdefs.ErrFailedPrecondition)
	}
	return n.running, nil
}
