//go:build integration

package macvlan

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

const (
	soon = 2 * time.Minute
	none = 300 * time.Millisecond
)

// newLAN returns a host with the interface up0, which has the default route,
// and a machine on the same LAN.
func newLAN(t *testing.T) (host, neighbour *netns.Namespace) {
	t.Helper()
	host, neighbour = netnstest.New(t), netnstest.New(t)
	netnstest.Pair(t,
		netnstest.End{
			Namespace: host, Name: "up0", Addresses: []string{"192.0.2.1/24", "2001:db8::1/64"},
			Routes: []resource.Route{netnstest.Default("192.0.2.9")},
		},
		netnstest.End{Namespace: neighbour, Name: "lan0", Addresses: []string{"192.0.2.9/24", "2001:db8::9/64"}})
	return host, neighbour
}

func lan(variant string, options map[string]string) networkplugin.Configuration {
	return networkplugin.Configuration{
		ID: "aaaaaaaaaaaaaaaa", Name: "lan", Variant: variant, Options: options,
		IPv4Subnet: netip.MustParsePrefix("192.0.2.0/24"), IPv6Subnet: netip.MustParsePrefix("2001:db8::/64"),
	}
}

func start(t *testing.T, host *netns.Namespace, c networkplugin.Configuration) (*Network, networkplugin.Realization) {
	t.Helper()
	n, err := newIn(host, c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := n.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background(), true); err != nil {
			t.Error(err)
		}
	})
	return n, r
}

// plug attaches a fresh sandbox as a runtime does.
func plug(t *testing.T, n *Network, key, v4, v6 string) (*netns.Namespace, networkplugin.Port) {
	t.Helper()
	ns := netnstest.New(t)
	p := networkplugin.Port{Key: key, NetworkNamespace: ns.Path(), Attachment: resource.Attachment{MACAddress: macaddress.Stable("lan", key)}}
	if err := n.Admit(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	plan, err := n.Plan(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	parameters := plan.(resource.MacvlanParameters)
	err = netnstest.Link(t, n.host).AddMacvlan(parameters.Parent, parameters.Mode, link.Peer{Namespace: ns, Name: "eth0", MAC: p.Attachment.MACAddress})
	if err != nil {
		t.Fatal(err)
	}
	if err := netnstest.Link(t, ns).Configure("eth0", []netip.Prefix{netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)}, nil); err != nil {
		t.Fatal(err)
	}
	return ns, p
}

func TestVariantsAndExpel(t *testing.T) {
	t.Parallel()
	for variant, reaches := range map[string]bool{VariantBridge: true, VariantPrivate: false} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			host, neighbour := newLAN(t)
			n, r := start(t, host, lan(variant, map[string]string{"gateway": "192.0.2.9"}))
			if r.IPv4Gateway.String() != "192.0.2.9" || r.IPv6Gateway.IsValid() || r.MTU != 1500 || len(r.Reserved) != 2 {
				t.Errorf("realization: %+v", r)
			}
			a, port := plug(t, n, "a/0", "192.0.2.20/24", "2001:db8::20/64")
			b, _ := plug(t, n, "b/0", "192.0.2.21/24", "2001:db8::21/64")
			for _, target := range []string{"192.0.2.9", "2001:db8::9"} {
				if err := netnstest.Ping(a, target, "", soon); err != nil {
					t.Errorf("the LAN: %v", err)
				}
			}
			for _, target := range []string{"192.0.2.21", "2001:db8::21"} {
				answer := soon
				if !reaches {
					answer = none
				}
				if err := netnstest.Ping(a, target, "", answer); (err == nil) != reaches {
					t.Errorf("one another: %v, want success %t", err, reaches)
				}
			}
			for range 2 { // also where there is nothing left
				if err := n.Expel(t.Context(), port); err != nil {
					t.Fatal(err)
				}
			}
			if err := netnstest.Ping(neighbour, "192.0.2.20", "", none); err == nil {
				t.Error("an expelled port still answers")
			}
			if err := netnstest.Ping(neighbour, "192.0.2.21", "", soon); err != nil {
				t.Errorf("the other port: %v", err)
			}
			if _, err := netnstest.Link(t, b).Interface("eth0"); err != nil {
				t.Error(err)
			}
			port.NetworkNamespace = "/proc/self/fd/99999"
			if err := n.Expel(t.Context(), port); err != nil {
				t.Errorf("the sandbox is gone: %v", err)
			}
			if all, err := netnstest.Link(t, host).Interfaces(); err != nil || len(all) != 2 {
				t.Errorf("the host has %+v, %v; want loopback and up0", all, err)
			}
		})
	}
}

func TestTwoModesOnOneParent(t *testing.T) {
	t.Parallel()
	host, _ := newLAN(t)
	one, _ := start(t, host, lan(VariantBridge, nil))
	c := lan(VariantPrivate, map[string]string{"parent": "up0"})
	c.ID = "bbbbbbbbbbbbbbbb"
	two, _ := start(t, host, c)
	a, _ := plug(t, one, "a/0", "192.0.2.20/24", "2001:db8::20/64")
	b, _ := plug(t, two, "b/0", "192.0.2.21/24", "2001:db8::21/64")
	for _, ns := range []*netns.Namespace{a, b} {
		if err := netnstest.Ping(ns, "192.0.2.9", "", soon); err != nil {
			t.Error(err)
		}
	}
}

func TestChosenSubnetsAreNotTheLANs(t *testing.T) {
	t.Parallel()
	host, _ := newLAN(t)
	c := lan(VariantBridge, nil)
	c.IPv4Subnet, c.IPv6Subnet = netip.Prefix{}, netip.Prefix{}
	_, r := start(t, host, c)
	if !r.IPv4Subnet.IsValid() || r.IPv4Subnet.Overlaps(netip.MustParsePrefix("192.0.2.0/24")) || !r.IPv6Subnet.IsValid() {
		t.Errorf("realization: %+v", r)
	}
}

func TestParentErrors(t *testing.T) {
	t.Parallel()
	host, _ := newLAN(t)
	bare := netnstest.New(t)
	netnstest.Bridge(t, host, "br0")
	if err := netnstest.Link(t, host).AddBridgePort("br0", "port0", link.Peer{Namespace: bare, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		host   *netns.Namespace
		parent string
		kind   func(error) bool
		want   string
	}{
		"missing":          {host, "eth7", errdefs.IsNotFound, "option parent=eth7: interface eth7: is not there"},
		"loopback":         {host, "lo", errdefs.IsInvalidArgument, "is the loopback interface"},
		"port":             {host, "port0", errdefs.IsInvalidArgument, "is a port of a bridge"},
		"no default route": {bare, "", errdefs.IsFailedPrecondition, "option parent: the host has no default route"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := lan(VariantBridge, map[string]string{})
			if tt.parent != "" {
				c.Options["parent"] = tt.parent
			}
			n, err := newIn(tt.host, c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.Start(t.Context(), c); !tt.kind(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestWatchReportsTheParent(t *testing.T) {
	t.Parallel()
	host, _ := newLAN(t)
	n, _ := start(t, host, lan(VariantBridge, nil))
	ctx, stop := context.WithCancel(t.Context())
	reports, done := make(chan string, 16), make(chan struct{})
	go func() {
		defer close(done)
		n.Watch(ctx, func(s resource.NetworkState, message string) { reports <- string(s) + " " + message })
	}()
	expect := func(want string) {
		t.Helper()
		timeout := time.After(2 * time.Minute)
		for {
			select {
			case got := <-reports:
				if got == want {
					return
				}
			case <-timeout:
				t.Fatalf("no report %q", want)
			}
		}
	}
	expect("ready ")
	h := netnstest.Link(t, host)
	if err := h.SetDown("up0"); err != nil {
		t.Fatal(err)
	}
	expect("degraded parent up0: the interface is down")
	if err := h.Configure("up0", nil, nil); err != nil {
		t.Fatal(err)
	}
	expect("ready ")
	if err := h.Delete("up0"); err != nil {
		t.Fatal(err)
	}
	expect("degraded parent up0: the interface is gone")
	if faults := n.Check(t.Context()); len(faults) != 1 {
		t.Errorf("faults: %q", faults)
	}
	stop()
	<-done
}

func TestExpelFindsAChangedMAC(t *testing.T) {
	t.Parallel()
	host, neighbour := newLAN(t)
	n, _ := start(t, host, lan(VariantBridge, nil))
	a, port := plug(t, n, "a/0", "192.0.2.20/24", "2001:db8::20/64")
	netnstest.Do(t, a, func() error {
		return exec.Command("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99").Run()
	})
	if err := netnstest.Ping(neighbour, "192.0.2.20", "", soon); err != nil {
		t.Fatal(err)
	}
	port.Attachment.InterfaceName = "eth0"
	if err := n.Expel(t.Context(), port); err != nil {
		t.Fatal(err)
	}
	if err := netnstest.Ping(neighbour, "192.0.2.20", "", none); err == nil {
		t.Error("an expelled port still answers")
	}
}
