package names

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/resource"
)

// A name for the host has the gateway of the network that is the first at the time,
// and no address while there is none.
func TestHostGatewayFollows(t *testing.T) {
	t.Parallel()
	fixed := HostEntry{Address: netip.MustParseAddr("192.0.2.7"), Names: []string{"db"}}
	hosts := []resource.ExtraHost{{Name: "db", Address: fixed.Address}, {Name: "up"}}
	network := func(gateway string, priority int) resource.AllocatedAttachment {
		return resource.AllocatedAttachment{
			Attachment: resource.Attachment{IPv4Gateway: netip.MustParseAddr(gateway), GatewayPriority: priority}, Strategy: resource.StrategyBridgePort,
		}
	}
	lan := network("10.9.0.1", 9)
	lan.Strategy = "macvlan"
	for name, tt := range map[string]struct {
		networks []resource.AllocatedAttachment
		want     []HostEntry
		refused  bool // at the start
	}{
		"none":     {want: []HostEntry{fixed}, refused: true},
		"of a LAN": {networks: []resource.AllocatedAttachment{lan}, want: []HostEntry{fixed}, refused: true},
		"one":      {networks: []resource.AllocatedAttachment{lan, network("10.1.0.1", 0)}, want: []HostEntry{fixed, {Address: netip.MustParseAddr("10.1.0.1"), Names: []string{"up"}}}},
		"another comes before": {
			networks: []resource.AllocatedAttachment{network("10.1.0.1", 0), network("10.2.0.1", 1)},
			want:     []HostEntry{fixed, {Address: netip.MustParseAddr("10.2.0.1"), Names: []string{"up"}}},
		},
	} {
		if diff := cmp.Diff(tt.want, HostEntries(hosts, tt.networks), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := CheckHosts(hosts, tt.networks); (err != nil) != tt.refused || tt.refused && !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("%s: start: %v", name, err)
		}
	}
}

// within is an Insider on the loopback interface that counts what it opens.
type within struct{ opened, closed int }

func (w *within) ListenNames(context.Context) (resolver.Sockets, error) {
	packet, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return resolver.Sockets{}, err
	}
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return resolver.Sockets{}, errors.Join(err, packet.Close())
	}
	w.opened++
	return resolver.Sockets{Packet: packet, Stream: &noted{stream, w}}, nil
}

func (w *within) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errdefs.ErrUnavailable
}

// noted is a socket whose first close counts.
type noted struct {
	net.Listener
	w *within
}

func (n *noted) Close() error {
	err := n.Listener.Close()
	if err == nil {
		n.w.closed++
	}
	return err
}

// The resolver listens for as long as the sandbox has networks, once, and
// resolv.conf names it for as long.
func TestResolverFollows(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddr("192.0.2.53")
	asked := func(sockets ...string) Wish {
		w := Wish{DNS: resource.DNSConfiguration{Servers: []netip.Addr{server}}}
		for _, s := range sockets {
			w.Allocated = append(w.Allocated, resource.AllocatedAttachment{
				Attachment: resource.Attachment{Network: s}, Lease: resource.LeaseReference{Socket: t.TempDir() + "/" + s},
			})
		}
		return w
	}
	inside := &within{}
	r := Resolver{Log: slog.New(slog.DiscardHandler)}
	defer r.Close()
	for _, step := range []struct {
		name           string
		wish           Wish
		plugins        int // connected to
		opened, closed int
		server         netip.Addr
	}{
		{"no network", asked(), 0, 0, 0, server},
		{"the first", asked("a"), 1, 1, 0, resource.ResolverAddress},
		{"two more", asked("a", "b", "c"), 3, 1, 0, resource.ResolverAddress},
		{"the last goes", asked(), 0, 1, 1, server},
		{"one comes again", asked("a"), 1, 2, 1, resource.ResolverAddress},
	} {
		if err := r.Set(t.Context(), inside, step.wish); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if inside.opened != step.opened || inside.closed != step.closed || len(r.plugins) != step.plugins {
			t.Errorf("%s: opened %d and closed %d times, asks %d plugins; want %d, %d, %d",
				step.name, inside.opened, inside.closed, len(r.plugins), step.opened, step.closed, step.plugins)
		}
		if diff := cmp.Diff([]string{step.server.String()}, texts(step.wish.Client(inside).Servers)); diff != "" {
			t.Errorf("%s: servers (-want +got):\n%s", step.name, diff)
		}
	}
	r.Close()
	r.Close()
	if inside.closed != 2 {
		t.Errorf("closed %d times, want 2", inside.closed)
	}
}

// Where nobody can listen inside, containers ask the servers themselves.
func TestResolverOutside(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddr("192.0.2.53")
	w := Wish{DNS: resource.DNSConfiguration{Servers: []netip.Addr{server}}, Allocated: make([]resource.AllocatedAttachment, 1)}
	var r Resolver
	if err := r.Set(t.Context(), nil, w); err != nil || r.server != nil {
		t.Errorf("serves %v, %v; want nothing", r.server, err)
	}
	if diff := cmp.Diff([]string{server.String()}, texts(w.Client(nil).Servers)); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}

func texts(addresses []netip.Addr) []string {
	var out []string
	for _, a := range addresses {
		out = append(out, a.String())
	}
	return out
}
