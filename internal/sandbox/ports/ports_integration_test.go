//go:build integration

package ports

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// calls are what networks were told, in order.
type calls struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (c *calls) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, fmt.Sprintf(format, args...))
}

// since returns what was told since the last time.
func (c *calls) since() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	slices.Sort(all)
	return all
}

// network is a plugin that publishes ports, or does not.
type network struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	name     string
	calls    *calls
	forwards bool
}

func (n *network) Publish(_ context.Context, r *pluginv1.PublishRequest) (*pluginv1.PublishResponse, error) {
	if !n.forwards {
		return nil, fmt.Errorf("forwards nothing: %w", errdefs.ErrNotImplemented)
	}
	ports, err := wire.PublishedPortsFromProto(r.GetPorts())
	for _, p := range ports {
		n.calls.add("%s: publish %s", n.name, p.Host())
	}
	return &pluginv1.PublishResponse{Ports: r.GetPorts()}, err
}

func (n *network) Unpublish(context.Context, *pluginv1.UnpublishRequest) (*pluginv1.UnpublishResponse, error) {
	n.calls.add("%s: unpublish", n.name)
	return &pluginv1.UnpublishResponse{}, nil
}

func (n *network) attach(t *testing.T, addresses ...string) resource.AllocatedAttachment {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "plugin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(s, n) },
		Log:      slog.New(slog.DiscardHandler),
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(ctx)
		<-served
	})
	a := resource.AllocatedAttachment{
		Attachment: resource.Attachment{Network: n.name}, Lease: resource.LeaseReference{Key: n.name, Socket: socket},
	}
	for _, text := range addresses {
		if p := netip.MustParsePrefix(text); p.Addr().Is4() {
			a.Attachment.IPv4Address = p
		} else {
			a.Attachment.IPv6Address = p
		}
	}
	return a
}

// Ports lead to the first network that forwards by itself, for each family; they
// move with the networks, and are published again on demand.
func TestPublish(t *testing.T) {
	t.Parallel()
	var told calls
	lan := (&network{name: "lan", calls: &told}).attach(t, "10.1.0.2/24", "fd01::2/64")
	four := (&network{name: "four", calls: &told, forwards: true}).attach(t, "10.2.0.2/24")
	both := (&network{name: "both", calls: &told, forwards: true}).attach(t, "10.3.0.2/24", "fd03::2/64")
	p := &Ports{Log: slog.New(slog.DiscardHandler)}
	netnstest.Do(t, netnstest.New(t), func() error {
		return p.Take([]resource.PublishedPort{
			{Protocol: "tcp", HostPort: 80, ContainerPort: 80},
			{Protocol: "udp", HostPort: 53, ContainerPort: 53, HostAddress: netip.MustParseAddr("127.0.0.1")},
			{Protocol: "udp", HostPort: 53, ContainerPort: 53, HostAddress: netip.IPv6Loopback()},
		})
	})
	t.Cleanup(func() { p.Close(context.Background()) })
	reach := Reach{
		Dial:     func(context.Context, string, string) (net.Conn, error) { return nil, errdefs.ErrUnavailable },
		Includes: func(resource.AllocatedAttachment) bool { return true },
	}
	publish := func(order ...resource.AllocatedAttachment) {
		t.Helper()
		if err := p.Publish(t.Context(), order, reach); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if diff := cmp.Diff(want, told.since()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	publish(lan, four, both)
	want("at first", "four: publish 0.0.0.0:80/tcp", "four: publish 127.0.0.1:53/udp", "both: publish [::]:80/tcp", "both: publish [::1]:53/udp")
	if p.targets.IPv4 != four.Attachment.IPv4Address.Addr() || p.targets.IPv6 != both.Attachment.IPv6Address.Addr() {
		t.Errorf("the helper forwards to %v, want to where the networks do", p.targets)
	}
	p.Serve()
	p.Again(t.Context(), four.Lease.Socket)
	want("held again", "four: publish 0.0.0.0:80/tcp", "four: publish 127.0.0.1:53/udp")
	publish(both, lan)
	want("another order", "both: publish 80/tcp", "both: publish 127.0.0.1:53/udp", "both: publish [::1]:53/udp", "four: unpublish")
	publish(lan)
	want("no network forwards", "both: unpublish")
	if p.targets.IPv4 != lan.Attachment.IPv4Address.Addr() {
		t.Errorf("the helper forwards to %v, want to the network that is left", p.targets)
	}
	publish(both)
	told.since()
	p.Close(t.Context())
	want("at the end", "both: unpublish")

	if err := (&Ports{}).Publish(t.Context(), nil, reach); err != nil {
		t.Errorf("without ports: %v", err)
	}
}

// Ports that nobody can be reached by are refused.
func TestPublishNowhere(t *testing.T) {
	t.Parallel()
	var told calls
	p := &Ports{Log: slog.New(slog.DiscardHandler)}
	netnstest.Do(t, netnstest.New(t), func() error {
		return p.Take([]resource.PublishedPort{{Protocol: "tcp", HostPort: 80, ContainerPort: 80}})
	})
	defer p.Close(t.Context())
	layer2 := (&network{name: "layer2", calls: &told, forwards: true}).attach(t)
	err := p.Publish(t.Context(), []resource.AllocatedAttachment{layer2}, Reach{Includes: func(resource.AllocatedAttachment) bool { return true }})
	if !errdefs.IsFailedPrecondition(err) {
		t.Errorf("got %v, want errdefs.ErrFailedPrecondition", err)
	}
}
