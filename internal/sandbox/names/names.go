// Package names is what a sandbox knows by name: what its resolver, its resolv.conf
// and its /etc/hosts say while it has these networks.
package names

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"patchbay.dev/patchbay/internal/client/pluginclient"
	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/sandbox/lookup"
	"patchbay.dev/patchbay/internal/sandbox/routes"
	"patchbay.dev/patchbay/resource"
)

// Insider opens sockets inside of a sandbox that is prepared, which are used
// outside: a resolver can listen there. A sandbox without one asks the name servers
// itself.
type Insider interface {
	// ListenNames opens the sockets of resolver.Listen.
	ListenNames(ctx context.Context) (resolver.Sockets, error)
	// DialContext opens a connection as net.Dialer does; network is "tcp" or
	// "udp", the address literal.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Wish is what is asked for: what the user said of names, and the networks.
type Wish struct {
	DNS       resource.DNSConfiguration
	Allocated []resource.AllocatedAttachment
}

// Client is what resolv.conf says; inside is nil where the sandbox has no Insider.
func (w Wish) Client(inside Insider) resource.DNSConfiguration {
	if w.resolves(inside) {
		return w.configuration().Client()
	}
	return w.configuration().Direct()
}

// resolves tells whether a sandbox gets a resolver: one without networks has
// nothing to ask for.
func (w Wish) resolves(inside Insider) bool { return inside != nil && len(w.Allocated) > 0 }

func (w Wish) configuration() resolver.Configuration {
	c := resolver.Configuration{User: w.DNS, HostFile: resolver.HostFile}
	for _, a := range routes.ByPriority(w.Allocated) {
		c.Attachments = append(c.Attachments, a.Attachment)
	}
	return c
}

// Resolver answers inside of a sandbox. Its zero value does not answer yet.
type Resolver struct {
	Log *slog.Logger

	mu      sync.Mutex
	server  *resolver.Server                // guarded by mu; nil: it does not answer
	plugins map[string]*pluginclient.Client // guarded by mu; by socket
}

// Set has the resolver answer by what is wished, from the next question on. It
// answers as long as the sandbox has networks and an Insider, which is always the
// same one. Only one may call it at a time; Close may come meanwhile.
func (r *Resolver) Set(ctx context.Context, inside Insider, w Wish) error {
	if !w.resolves(inside) {
		r.Close()
		return nil
	}
	if r.update(inside, w) {
		return nil
	}
	sockets, err := inside.ListenNames(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = resolver.Serve(sockets, r.view(inside, w), r.Log)
	return nil
}

// update changes what is answered; false: nothing is.
func (r *Resolver) update(inside Insider, w Wish) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return false
	}
	r.server.Set(r.view(inside, w))
	return true
}

// view is what the sandbox can know. The caller holds mu.
func (r *Resolver) view(inside Insider, w Wish) resolver.View {
	view := resolver.View{Upstream: w.configuration().Upstream(inside.DialContext, new(net.Dialer).DialContext)}
	known := map[string]*pluginclient.Client{}
	for _, a := range routes.ByPriority(w.Allocated) {
		socket := a.Lease.Socket
		if known[socket] != nil {
			continue // the same network once more
		}
		plugin := r.plugins[socket]
		if plugin == nil {
			plugin = pluginclient.Dial(socket, a.Lease.Codec)
		}
		known[socket] = plugin
		view.Networks = append(view.Networks, resolver.NewNetwork(a.Attachment.Network, lookup.Names{Plugin: plugin}))
	}
	for socket, plugin := range r.plugins {
		if known[socket] == nil {
			plugin.Close()
		}
	}
	r.plugins = known
	return view
}

// Close stops answering, until Set. It may be called again.
func (r *Resolver) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return
	}
	_ = r.server.Close() // of sockets that nobody else has
	for _, plugin := range r.plugins {
		plugin.Close()
	}
	r.server, r.plugins = nil, nil
}
