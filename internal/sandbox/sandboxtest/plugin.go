//go:build integration

package sandboxtest

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
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/rpc"
)

// plugin is a network plugin that confirms every Hold and tells of its beginning
// and end.
type plugin struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	socket    string
	refused   string     // a key of a lease that it does not know
	reachable chan error // whether the namespace path could be opened

	mu      sync.Mutex
	held    map[string]bool // by key; guarded by mu
	changed chan struct{}   // closed when held changes; guarded by mu
	server  *rpc.Server     // nil: it is not there; guarded by mu
	running sync.WaitGroup
}

// servePlugin serves a plugin at a socket until the test ends.
func servePlugin(t *testing.T, socket string) *plugin {
	t.Helper()
	p := &plugin{socket: socket, reachable: make(chan error, 64), held: map[string]bool{}, changed: make(chan struct{})}
	p.begin(t)
	t.Cleanup(p.die)
	return p
}

func (p *plugin) begin(t *testing.T) {
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

// die cuts all streams.
func (p *plugin) die() {
	p.mu.Lock()
	server := p.server
	p.server = nil
	p.mu.Unlock()
	if server != nil {
		server.Close()
	}
	p.running.Wait()
}

func (p *plugin) Hold(ctx context.Context, r *pluginv1.HoldRequest, s pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := s.SendHeaders(); err != nil {
		return err
	}
	if slices.Contains(r.GetKeys(), p.refused) {
		return connect.NewError(connect.CodeNotFound, "no such lease")
	}
	ns, err := netns.OpenPath(r.GetNetworkNamespace())
	if err == nil {
		err = ns.Close()
	}
	p.reachable <- err
	if err := s.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	p.note(r.GetKeys(), true)
	<-ctx.Done()
	p.note(r.GetKeys(), false)
	return nil
}

func (p *plugin) note(keys []string, held bool) {
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

// wantHeld waits until just these keys are held.
func (p *plugin) wantHeld(t *testing.T, keys ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, key := range keys {
		want[key] = true
	}
	limit := time.After(patience)
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

// wantReachable wants that the plugin could open what it was told of each
// sandbox's network namespace.
func (p *plugin) wantReachable(t *testing.T) {
	t.Helper()
	for len(p.reachable) > 0 {
		if err := <-p.reachable; err != nil {
			t.Errorf("the plugin cannot reach the network namespace: %v", err)
		}
	}
}
