//go:build integration

package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/resource"
)

// fakePlugin confirms every Hold and tells of its beginning and end.
type fakePlugin struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	held, lost chan []string
	refuse     error
	reachable  chan error // whether the namespace path could be opened
}

func (p *fakePlugin) Hold(ctx context.Context, r *pluginv1.HoldRequest, s pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := s.SendHeaders(); err != nil {
		return err
	}
	if p.refuse != nil {
		return p.refuse
	}
	ns, err := netns.OpenPath(r.GetNetworkNamespace())
	if err == nil {
		err = ns.Close()
	}
	p.reachable <- err
	if err := s.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	p.held <- r.GetKeys()
	<-ctx.Done()
	p.lost <- r.GetKeys()
	return nil
}

// servePlugin serves on path until stop, which cuts all streams.
func servePlugin(t *testing.T, path string, refuse error) (p *fakePlugin, stop func()) {
	t.Helper()
	p = &fakePlugin{held: make(chan []string, 10), lost: make(chan []string, 10), reachable: make(chan error, 10), refuse: refuse}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(s, p) },
		Log:      slog.New(slog.DiscardHandler),
	})
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	stop = sync.OnceFunc(func() { server.Close(); running.Wait() })
	t.Cleanup(stop)
	return p, stop
}

// hostWithBridge makes a namespace that stands for the host.
func hostWithBridge(t *testing.T, bridge string) (*netns.Namespace, *link.Handle) {
	t.Helper()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	h, err := link.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	if err := h.EnsureBridge(link.BridgeSpec{Name: bridge}); err != nil {
		t.Fatal(err)
	}
	return ns, h
}

func attachment(t *testing.T, h *helper, socket, place, bridge, port string) *typesv1.AllocatedAttachment {
	t.Helper()
	data, err := json.Marshal(resource.BridgePortParameters{Bridge: bridge, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	return &typesv1.AllocatedAttachment{
		Attachment: &typesv1.Attachment{
			NetworkId: "0011223344556677", Network: "net" + place,
			Ipv4Address: "10.9." + place + ".2/24", Ipv4Gateway: "10.9." + place + ".1",
			Ipv6Address: "fd00:9:" + place + "::2/64", Ipv6Gateway: "fd00:9:" + place + "::1",
			MacAddress: "02:00:00:00:0" + place + ":02", Mtu: 1400,
		},
		Plugin:         &typesv1.PluginInfo{Plugin: "fake", Variant: "only"},
		Strategy:       resource.StrategyBridgePort,
		AdditionalData: data,
		Lease:          &typesv1.LeaseReference{Key: h.id + "/" + place, Socket: socket},
	}
}

// wantKeys takes as many messages as have the keys wanted.
func wantKeys(t *testing.T, ch chan []string, want ...string) {
	t.Helper()
	var got []string
	for len(got) < len(want) {
		got = append(got, <-ch...)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	ns, links := hostWithBridge(t, "br0")
	h := startHelper(t, ns)
	socket := filepath.Join(h.dir, "p.sock")
	plugin, stop := servePlugin(t, socket, nil)
	r := h.request("sleep", "1000")
	r.Attachments = []*typesv1.AllocatedAttachment{
		attachment(t, h, socket, "0", "br0", "port0"),
		attachment(t, h, socket, "1", "br0", "port1"),
	}
	r.Attachments[1].Attachment.InterfaceName = "lan"
	r.Attachments[1].Attachment.GatewayPriority = 5
	made := h.start(r)
	if got := []string{made.GetAttachments()[0].GetInterfaceName(), made.GetAttachments()[1].GetInterfaceName()}; !slices.Equal(got, []string{"eth0", "lan"}) {
		t.Errorf("interfaces as applied = %v", got)
	}
	wantKeys(t, plugin.held, h.id+"/0", h.id+"/1")
	if err := <-plugin.reachable; err != nil {
		t.Errorf("the plugin cannot reach the network namespace: %v", err)
	}
	got := h.exec(&typesv1.Process{Args: []string{"sh", "-c", `
		for i in eth0 lan; do
			ip -o addr show $i | awk '{print $2, $4}' | grep -v fe80
			cat /sys/class/net/$i/address /sys/class/net/$i/mtu
		done
		ip route | grep default; ip -6 route get 2001:db8::1 | grep -o 'via [^ ]* dev [^ ]*'
		tail -n 4 /etc/hosts`}})
	want := strings.Join([]string{
		"eth0 10.9.0.2/24", "eth0 fd00:9:0::2/64", "02:00:00:00:00:02", "1400",
		"lan 10.9.1.2/24", "lan fd00:9:1::2/64", "02:00:00:00:01:02", "1400",
		"default via 10.9.1.1 dev lan ", "via fd00:9:1::1 dev lan",
		"10.9.0.2\tboxhost box", "fd00:9::2\tboxhost box", "10.9.1.2\tboxhost box", "fd00:9:1::2\tboxhost box", "",
	}, "\n")
	want = strings.ReplaceAll(want, "fd00:9:0::2/64", "fd00:9::2/64")
	if diff := cmp.Diff(output{Stdout: want}, got); diff != "" {
		t.Errorf("inside (-want +got):\n%s", diff)
	}
	if ports, err := links.Ports("br0"); err != nil || len(ports) != 2 {
		t.Errorf("ports = %v, %v, want 2", ports, err)
	}

	// A plugin that dies: the fault shows, and the leases are held again when it
	// is back.
	stop()
	wantKeys(t, plugin.lost, h.id+"/0", h.id+"/1")
	for {
		s, err := h.client.State(testContext(t), &sandboxv1.StateRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.GetFaults()) == 2 && strings.Contains(s.GetFaults()[0], h.id+"/0") {
			break
		}
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	plugin, _ = servePlugin(t, socket, nil)
	wantKeys(t, plugin.held, h.id+"/0", h.id+"/1")
	// The helper is killed: the plugin hears of it.
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, plugin.lost, h.id+"/0", h.id+"/1")
}

// TestBootstrapUndoesAll: whichever step fails, nothing is left.
func TestBootstrapUndoesAll(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*sandboxv1.BootstrapRequest)
		refuse error
		kind   error
	}{
		"plugin refuses": {refuse: connect.NewError(connect.CodeNotFound, "no such lease"), kind: errdefs.ErrNotFound},
		"second bridge is not there": {kind: errdefs.ErrNotFound, change: func(r *sandboxv1.BootstrapRequest) {
			r.Attachments[1].AdditionalData = []byte(`{"bridge":"nobridge","port":"port1"}`)
		}},
		"unknown strategy": {kind: errdefs.ErrFailedPrecondition, change: func(r *sandboxv1.BootstrapRequest) { r.Attachments[1].Strategy = "teleport" }},
		"bad command":      {kind: errdefs.ErrNotFound, change: func(r *sandboxv1.BootstrapRequest) { r.Process.Args = []string{"nothere"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns, links := hostWithBridge(t, "br0")
			h := startHelper(t, ns)
			socket := filepath.Join(h.dir, "p.sock")
			plugin, _ := servePlugin(t, socket, tc.refuse)
			r := h.request("true")
			r.Attachments = []*typesv1.AllocatedAttachment{
				attachment(t, h, socket, "0", "br0", "port0"),
				attachment(t, h, socket, "1", "br0", "port1"),
			}
			if tc.change != nil {
				tc.change(r)
			}
			_, err := h.client.Bootstrap(testContext(t), r)
			if !errors.Is(err, tc.kind) {
				t.Errorf("Bootstrap: %v, want %v", err, tc.kind)
			}
			h.gone()
			var held []string
			for len(plugin.held) > 0 {
				held = append(held, <-plugin.held...)
			}
			wantKeys(t, plugin.lost, slices.Sorted(slices.Values(held))...)
			if left := h.cgroups(); len(left) > 0 {
				t.Errorf("cgroups left: %v", left)
			}
			for { // the kernel collects the namespace's links by itself
				ports, err := links.Ports("br0")
				if err != nil {
					t.Fatal(err)
				}
				if len(ports) == 0 {
					break
				}
			}
		})
	}
}
