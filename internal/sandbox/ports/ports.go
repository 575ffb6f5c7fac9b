// Package ports publishes the ports of a sandbox on the host.
package ports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/forward"
	"patchbay.dev/patchbay/internal/processors"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// publishTimeout bounds a call of a plugin about ports.
const publishTimeout = 10 * time.Second

// Ports are the published ports of a sandbox. A socket holds each of them on the
// host, from before anything else is made until the end: nobody else gets the
// port, whatever becomes of patchbayd and the plugins. What a network forwards by
// itself does not come to the socket; the rest is passed on from there.
type Ports struct {
	Log *slog.Logger

	mu        sync.Mutex
	wanted    []resource.PublishedPort // guarded by mu
	sockets   *forward.Sockets         // guarded by mu; nil: there are no ports
	published []publication            // guarded by mu
	targets   forward.Targets          // guarded by mu; set by Publish, as is dial
	dial      forward.Dial             // guarded by mu
}

// publication is what one attachment's network forwards by itself.
type publication struct {
	network string
	lease   resource.LeaseReference
	ports   []resource.PublishedPort
}

// Take takes the host ports.
func (p *Ports) Take(wanted []resource.PublishedPort) error {
	if len(wanted) == 0 {
		return nil
	}
	sockets, err := forward.Listen(wanted)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.sockets = wanted, sockets
	return nil
}

// Reach is how the host gets into a sandbox.
type Reach struct {
	// Dial connects to an address of the sandbox.
	Dial forward.Dial
	// Includes tells whether that works for the addresses of an attachment.
	Includes func(resource.AllocatedAttachment) bool
}

// Publish has networks forward the ports. The attachments are in the order of
// the default route, and their leases are held. It is called again when there are
// others than before.
//
// Of each address family, the ports lead to the address of one attachment: the
// first whose network forwards by itself, since then the container sees who its
// clients are; else the first that can be reached.
func (p *Ports) Publish(ctx context.Context, order []resource.AllocatedAttachment, reach Reach) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets == nil {
		return nil
	}
	var targets forward.Targets
	before := slices.Clone(p.published)
	for _, a := range order {
		next := fill(targets, a.Attachment)
		ports := gained(p.wanted, targets, next)
		if len(ports) == 0 {
			continue
		}
		n := publication{network: a.Attachment.Network, lease: a.Lease, ports: ports}
		switch err := n.publish(ctx); {
		case errdefs.IsNotImplemented(err):
			continue
		case err != nil:
			return err
		}
		before = slices.DeleteFunc(before, n.same)
		targets, p.published = next, append(slices.DeleteFunc(slices.Clone(p.published), n.same), n)
	}
	for _, a := range order {
		if reach.Includes(a) {
			targets = fill(targets, a.Attachment)
		}
	}
	if targets == (forward.Targets{}) {
		return fmt.Errorf("publish: the container has no address on any network that can be reached from the host: %w", errdefs.ErrFailedPrecondition)
	}
	p.published = slices.DeleteFunc(p.published, func(n publication) bool { return slices.ContainsFunc(before, n.same) })
	p.withdraw(ctx, before)
	p.targets, p.dial = targets, reach.Dial
	p.sockets.Aim(targets)
	return nil
}

// withdraw has networks forward nothing more. Those of which the lease has ended
// have done so by themselves.
func (p *Ports) withdraw(ctx context.Context, all []publication) {
	for _, n := range all {
		if err := n.unpublish(ctx); err != nil && !errdefs.IsNotFound(err) {
			p.Log.Warn("a network is not told that ports are no longer published; it will see by the end of the lease", "network", n.network, "error", err)
		}
	}
}

// Serve passes on what comes to the sockets, after Publish.
func (p *Ports) Serve() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets != nil {
		p.sockets.Serve(p.targets, onAllProcessors(p.dial), p.Log)
	}
}

// onAllProcessors has the process use all processors of the host from the first
// connection on that it passes on; until then one will do for it.
func onAllProcessors(dial forward.Dial) forward.Dial {
	begin := sync.OnceFunc(processors.All)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		begin()
		return dial(ctx, network, address)
	}
}

// fill adds the addresses of an attachment for the families that have none.
func fill(t forward.Targets, a resource.Attachment) forward.Targets {
	if !t.IPv4.IsValid() && a.IPv4Address.IsValid() {
		t.IPv4 = a.IPv4Address.Addr()
	}
	if !t.IPv6.IsValid() && a.IPv6Address.IsValid() {
		t.IPv6 = a.IPv6Address.Addr()
	}
	return t
}

// gained are the ports of the families that have addresses in b and not in a.
func gained(wanted []resource.PublishedPort, a, b forward.Targets) []resource.PublishedPort {
	v4, v6 := a.IPv4 != b.IPv4, a.IPv6 != b.IPv6
	if v4 && v6 {
		return wanted
	}
	var out []resource.PublishedPort
	for _, p := range wanted {
		switch h := p.HostAddress; {
		case h.IsValid() && h.Is4() == v4 && (v4 || v6):
			out = append(out, p)
		case !h.IsValid() && v4:
			p.HostAddress = netip.IPv4Unspecified()
			out = append(out, p)
		case !h.IsValid() && v6:
			p.HostAddress = netip.IPv6Unspecified()
			out = append(out, p)
		}
	}
	return out
}

// Again publishes what a plugin that was restarted may have lost.
func (p *Ports) Again(ctx context.Context, socket string) {
	p.mu.Lock()
	published := slices.Clone(p.published)
	p.mu.Unlock()
	for _, n := range published {
		if n.lease.Socket != socket {
			continue
		}
		if err := n.publish(ctx); err != nil {
			p.Log.Error("a network does not forward published ports any more, the helper does", "network", n.network, "error", err)
		}
	}
}

// Close has the networks forward nothing more, and then frees the ports. It may
// be called again.
func (p *Ports) Close(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.withdraw(ctx, p.published)
	p.published = nil
	if p.sockets != nil {
		p.sockets.Close()
	}
	p.sockets = nil
}

// same tells whether two are of one attachment.
func (n publication) same(other publication) bool { return n.lease == other.lease }

func (n publication) publish(ctx context.Context) error {
	return n.call(ctx, func(ctx context.Context, plugin *pluginclient.Client) error {
		_, err := plugin.Publish(ctx, &pluginv1.PublishRequest{Key: n.lease.Key, Ports: wire.PublishedPortsToProto(n.ports)})
		return err
	})
}

func (n publication) unpublish(ctx context.Context) error {
	return n.call(ctx, func(ctx context.Context, plugin *pluginclient.Client) error {
		_, err := plugin.Unpublish(ctx, &pluginv1.UnpublishRequest{Key: n.lease.Key})
		return err
	})
}

func (n publication) call(ctx context.Context, f func(context.Context, *pluginclient.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	plugin := pluginclient.Dial(n.lease.Socket, n.lease.Codec)
	defer plugin.Close()
	err := f(ctx, plugin)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("its plugin did not answer within %v: %w", publishTimeout, errdefs.ErrUnavailable)
	}
	if err != nil {
		return fmt.Errorf("network %s: publish ports: %w", n.network, err)
	}
	return nil
}
