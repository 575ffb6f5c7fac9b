//go:build integration

package world

import (
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/rpc"
)

// Plugin is a network plugin that confirms every Hold and tells of its beginning
// and end.
type Plugin struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	socket    string
	Refused   string           // a key of a lease that it does not know
	reachable chan error       // whether the namespace path could be opened
	Spoil     func(*link.Peer) // makes another interface of one that it is to make; nil: nothing

	mu          sync.Mutex
	held        map[string]bool       // by key; guarded by mu
	delegations map[string]delegation // by key; guarded by mu
	changed     chan struct{}         // closed when held changes; guarded by mu
	server      *rpc.Server           // nil: it is not there; guarded by mu
	running     sync.WaitGroup
}

// ServePlugin serves a plugin at a socket until the test ends.
func ServePlugin(t *testing.T, socket string) *Plugin {
	t.Helper()
	p := &Plugin{socket: socket, reachable: make(chan error, 64), held: map[string]bool{}, delegations: map[string]delegation{}, changed: make(chan struct{})}
	p.Begin(t)
	t.Cleanup(p.Die)
	return p
}

// Begin serves again at the socket.
func (p *Plugin) Begin(t *testing.T) {
	t.Helper()
	_ = os.Remove(p.socket) // where a former life has ended
	l, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(s, p) },
		Log:      slog.New(slog.DiscardHandler),
	})
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	p.running.Go(func() { _ = server.Serve(l) })
}

// Die cuts all streams.
func (p *Plugin) Die() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	p.mu.Unlock()
	if server != nil {
		server.Close()
	}
	p.running.Wait()
}

func (p *Plugin) dying() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server == nil
}

// Hold implements the contract of plugins.
func (p *Plugin) Hold(ctx context.Context, r *pluginv1.HoldRequest, s pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := s.SendHeaders(); err != nil {
		return err
	}
	if slices.Contains(r.GetKeys(), p.Refused) {
		return connect.NewError(connect.CodeNotFound, "no such lease")
	}
	ns, err := netns.OpenPath(r.GetNetworkNamespace())
	if err == nil {
		err = ns.Close()
	}
	p.reachable <- err
	p.note(r.GetKeys(), true) // whoever is told may want an interface at once
	defer p.note(r.GetKeys(), false)
	if err := s.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	<-ctx.Done()
	if !p.dying() { // as a plugin that dies leaves the kernel's part as it is
		p.expel(r.GetKeys())
	}
	return nil
}

func (p *Plugin) note(keys []string, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		if held {
			p.held[key] = true
		} else {
			delete(p.held, key)
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// WantHeld waits until just these keys are held.
func (p *Plugin) WantHeld(t *testing.T, keys ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, key := range keys {
		want[key] = true
	}
	limit := time.After(Patience)
	for {
		p.mu.Lock()
		diff, changed := cmp.Diff(want, p.held), p.changed
		p.mu.Unlock()
		if diff == "" {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("leases held (-want +got):\n%s", diff)
		}
	}
}

// WantReachable wants that the plugin could open what it was told of each
// sandbox's network namespace.
func (p *Plugin) WantReachable(t *testing.T) {
	t.Helper()
	for len(p.reachable) > 0 {
		if err := <-p.reachable; err != nil {
			t.Errorf("the plugin cannot reach the network namespace: %v", err)
		}
	}
}
