package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/sandbox/lookup"
	"patchbay.dev/patchbay/resource"
)

// Insider is an Engine that opens sockets inside of its sandbox, after Prepare,
// which are used outside: a resolver can listen there. The sandbox of another one
// asks the name servers itself.
type Insider interface {
	// ListenNames opens the sockets of resolver.Listen.
	ListenNames(ctx context.Context) (resolver.Sockets, error)
	// DialContext opens a connection as net.Dialer does; network is "tcp" or
	// "udp", the address literal.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// names is the resolver of a sandbox.
type names struct {
	mu      sync.Mutex
	server  *resolver.Server                // guarded by mu; nil: there is none
	dial    resolver.Dial                   // guarded by mu; from inside of the sandbox
	wished  resource.DNSConfiguration       // guarded by mu
	plugins map[string]*pluginclient.Client // guarded by mu; by socket
}

// resolves tells whether a sandbox gets a resolver: one without networks has
// nothing to ask for.
func resolves(e Engine, allocated []resource.AllocatedAttachment) bool {
	_, ok := e.(Insider)
	return ok && len(allocated) > 0
}

// clientDNS is what resolv.conf says.
func clientDNS(e Engine, wished resource.DNSConfiguration, allocated []resource.AllocatedAttachment) resource.DNSConfiguration {
	c := nameConfiguration(wished, byPriority(allocated))
	if resolves(e, allocated) {
		return c.Client()
	}
	return c.Direct()
}

func nameConfiguration(wished resource.DNSConfiguration, allocated []resource.AllocatedAttachment) resolver.Configuration {
	c := resolver.Configuration{User: wished, HostFile: resolver.HostFile}
	for _, a := range allocated {
		c.Attachments = append(c.Attachments, a.Attachment)
	}
	return c
}

// byPriority are the attachments in the order in which their networks are asked
// for names: that of the default route.
func byPriority(allocated []resource.AllocatedAttachment) []resource.AllocatedAttachment {
	return slices.SortedStableFunc(slices.Values(allocated), func(a, b resource.AllocatedAttachment) int {
		return cmp.Compare(b.Attachment.GatewayPriority, a.Attachment.GatewayPriority)
	})
}

// serve begins to answer inside of the sandbox, if there is anything to answer.
func (n *names) serve(ctx context.Context, e Engine, wished resource.DNSConfiguration, allocated []resource.AllocatedAttachment, log *slog.Logger) error {
	if !resolves(e, allocated) {
		return nil
	}
	inside := e.(Insider)
	sockets, err := inside.ListenNames(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wished, n.plugins, n.dial = wished, map[string]*pluginclient.Client{}, inside.DialContext
	n.server = resolver.Serve(sockets, n.view(allocated), log)
	return nil
}

// set has the resolver know what a design says, from the next question on. There
// is one as long as the sandbox has networks.
func (n *names) set(ctx context.Context, e Engine, d design, log *slog.Logger) error {
	if !resolves(e, d.allocated) {
		n.close()
		return nil
	}
	n.mu.Lock()
	if n.server == nil {
		n.mu.Unlock()
		return n.serve(ctx, e, d.wished, d.allocated, log)
	}
	defer n.mu.Unlock()
	n.server.Set(n.view(d.allocated))
	return nil
}

// view is what the sandbox can know when these are its attachments. Callers hold
// mu.
func (n *names) view(allocated []resource.AllocatedAttachment) resolver.View {
	sorted := byPriority(allocated)
	c := nameConfiguration(n.wished, sorted)
	view := resolver.View{Upstream: c.Upstream(n.dial, new(net.Dialer).DialContext)}
	known := map[string]*pluginclient.Client{}
	for _, a := range sorted {
		socket := a.Lease.Socket
		if known[socket] != nil {
			continue // the same network once more
		}
		plugin := n.plugins[socket]
		if plugin == nil {
			plugin = pluginclient.Dial(socket, a.Lease.Codec)
		}
		known[socket] = plugin
		view.Networks = append(view.Networks, resolver.NewNetwork(a.Attachment.Network, lookup.Names{Plugin: plugin}))
	}
	for socket, plugin := range n.plugins {
		if known[socket] == nil {
			plugin.Close()
		}
	}
	n.plugins = known
	return view
}

// close stops answering. It may be called again.
func (n *names) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server == nil {
		return
	}
	_ = n.server.Close() // of sockets that nobody else has
	for _, plugin := range n.plugins {
		plugin.Close()
	}
	n.server = nil
}

// checkHosts refuses names for the host where it is the gateway of no network.
func checkHosts(extra []resource.ExtraHost, allocated []resource.AllocatedAttachment) error {
	if len(hostGateways(allocated)) > 0 {
		return nil
	}
	var faults []error
	for _, h := range extra {
		if !h.Address.IsValid() {
			faults = append(faults, fmt.Errorf("extra host %s: the host is the gateway of none of the container's networks: want an address in place of %s: %w",
				h.Name, resource.HostGateway, errdefs.ErrFailedPrecondition))
		}
	}
	return errors.Join(faults...)
}

// hostEntries returns the lines of /etc/hosts for what the user named. Those for
// the host have the gateways of the first network whose gateway it is. While it is
// that of none there are none for it.
func hostEntries(extra []resource.ExtraHost, allocated []resource.AllocatedAttachment) []HostEntry {
	var out []HostEntry
	for _, h := range extra {
		addresses := []netip.Addr{h.Address}
		if !h.Address.IsValid() {
			addresses = hostGateways(allocated)
		}
		for _, a := range addresses {
			out = append(out, HostEntry{Address: a, Names: []string{h.Name}})
		}
	}
	return out
}

// hostGateways are the gateways of the first network that the host makes itself:
// on a LAN the gateway is somebody else.
func hostGateways(allocated []resource.AllocatedAttachment) []netip.Addr {
	for _, a := range byPriority(allocated) {
		var out []netip.Addr
		for _, g := range []netip.Addr{a.Attachment.IPv4Gateway, a.Attachment.IPv6Gateway} {
			if g.IsValid() && (a.Strategy == resource.StrategyBridgePort || a.Strategy == resource.StrategyTapStream) {
				out = append(out, g)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}
