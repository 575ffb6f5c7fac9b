//go:build integration

package hostdevice

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

const (
	soon = 2 * time.Minute        // an answer is expected
	none = 500 * time.Millisecond // no answer is expected
)

// newHost returns a host with the uplink up0, the interface dev0 that has a
// route of its own, and the machine that is beyond dev0.
func newHost(t *testing.T) (host, beyond *netns.Namespace) {
	t.Helper()
	host, beyond = netnstest.New(t), netnstest.New(t)
	netnstest.Pair(t,
		netnstest.End{
			Namespace: host, Name: "up0", Addresses: []string{"198.51.100.1/24"},
			Routes: []resource.Route{netnstest.Default("198.51.100.9")},
		},
		netnstest.End{Namespace: netnstest.New(t), Name: "lan0", Addresses: []string{"198.51.100.9/24"}})
	netnstest.Pair(t,
		netnstest.End{
			Namespace: host, Name: "dev0", Addresses: []string{"192.0.2.1/24", "2001:db8::1/64"},
			Routes: []resource.Route{{Destination: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("192.0.2.9")}},
		},
		netnstest.End{Namespace: beyond, Name: "far0", Addresses: []string{"192.0.2.9/24", "2001:db8::9/64"}})
	return host, beyond
}

func wish(t *testing.T) networkplugin.Configuration {
	return networkplugin.Configuration{
		ID: "aaaaaaaaaaaaaaaa", Name: "dev", Variant: VariantExclusive, Options: map[string]string{optionDevice: "dev0"},
		IPv4Subnet: netip.MustParsePrefix("192.0.2.0/24"), IPv6Subnet: netip.MustParsePrefix("2001:db8::/64"),
		StateDirectory: t.TempDir(),
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
	return n, r
}

func port(ns *netns.Namespace, key string) networkplugin.Port {
	return networkplugin.Port{
		Key: key, Owner: "box-" + key, NetworkNamespace: ns.Path(),
		Attachment: resource.Attachment{MACAddress: macaddress.Stable("dev", key)},
	}
}

// plug attaches a fresh sandbox as a runtime does.
func plug(t *testing.T, n *Network, key string) (*netns.Namespace, networkplugin.Port) {
	t.Helper()
	ns := netnstest.New(t)
	p := port(ns, key)
	if err := n.Admit(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	move(t, n, ns, p)
	return ns, p
}

func move(t *testing.T, n *Network, ns *netns.Namespace, p networkplugin.Port) {
	t.Helper()
	plan, err := n.Plan(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	parameters := plan.(resource.HostDeviceParameters)
	peer := link.Peer{Namespace: ns, Name: "eth0", MAC: parameters.MAC, MTU: 1400}
	if err := netnstest.Link(t, n.host).Move(parameters.Device, peer); err != nil {
		t.Fatal(err)
	}
	addresses := []netip.Prefix{netip.MustParsePrefix("192.0.2.20/24"), netip.MustParsePrefix("2001:db8::20/64")}
	if err := netnstest.Link(t, ns).Configure("eth0", addresses, nil); err != nil {
		t.Fatal(err)
	}
}

// same fails the test unless the interface is what it was.
func same(t *testing.T, host *netns.Namespace, want device) {
	t.Helper()
	got, _, err := look(netnstest.Link(t, host), want.Name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}),
		cmpopts.SortSlices(func(a, b netip.Prefix) bool { return a.String() < b.String() }),
		cmpopts.SortSlices(func(a, b resource.Route) bool { return a.Destination.String() < b.Destination.String() })); diff != "" {
		t.Errorf("dev0 (-before +after):\n%s", diff)
	}
}

func describe(t *testing.T, host *netns.Namespace) device {
	t.Helper()
	d, _, err := look(netnstest.Link(t, host), "dev0")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Addresses) != 2 || len(d.Routes) == 0 || !d.Up {
		t.Fatalf("got %+v, want it up with addresses and routes", d)
	}
	return d
}

func TestLentAndGivenBack(t *testing.T) {
	t.Parallel()
	host, beyond := newHost(t)
	before := describe(t, host)
	n, r := start(t, host, wish(t))
	if r.MTU != 1500 || r.IPv4Gateway.IsValid() || r.IPv4Subnet.String() != "192.0.2.0/24" {
		t.Errorf("realization: %+v", r)
	}
	for _, key := range []string{"a/0", "b/0"} {
		ns, p := plug(t, n, key)
		for _, target := range []string{"192.0.2.9", "2001:db8::9"} {
			if err := netnstest.Ping(ns, target, "", soon); err != nil {
				t.Error(err)
			}
		}
		if inside, err := netnstest.Link(t, ns).Interface("eth0"); err != nil || inside.MAC != p.Attachment.MACAddress || inside.MTU != 1400 {
			t.Errorf("inside: %+v, %v", inside, err)
		}
		other := port(netnstest.New(t), "c/0")
		if err := n.Admit(t.Context(), other); !errdefs.IsResourceExhausted(err) || !strings.Contains(err.Error(), "container box-"+key) {
			t.Errorf("second port: %v", err)
		}
		if err := n.Expel(t.Context(), other); err != nil {
			t.Errorf("expel of the refused one: %v", err)
		}
		if err := n.Admit(t.Context(), p); err != nil {
			t.Errorf("held anew: %v", err)
		}
		for range 2 { // also where there is nothing left
			if err := n.Expel(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		same(t, host, before)
		if err := netnstest.Ping(host, "192.0.2.9", "", soon); err != nil {
			t.Error(err)
		}
		if err := netnstest.Ping(beyond, "192.0.2.20", "", none); err == nil {
			t.Error("an expelled port still answers")
		}
	}
}

func TestKeepsItsMACAddress(t *testing.T) {
	t.Parallel()
	host, _ := newHost(t)
	before := describe(t, host)
	n, _ := start(t, host, wish(t))
	p := port(netnstest.New(t), "a/0")
	p.AutomaticMAC = true
	plan, err := n.Plan(p, nil)
	if want := (resource.HostDeviceParameters{Device: "dev0", MAC: before.MAC}); err != nil || plan != want {
		t.Errorf("plan: %+v, %v, want %+v", plan, err, want)
	}
}

// Whatever a container with CAP_NET_ADMIN makes of the interface.
func TestGivenBackWhateverWasMadeOfIt(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"renamed":       {"link set eth0 down", "link set eth0 name other", "link set other address 02:00:00:00:00:99", "link set other mtu 1300"},
		"another alias": {"link set eth0 alias mine"},
		"a bridge port": {"link add br9 type bridge", "link set eth0 master br9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, _ := newHost(t)
			before := describe(t, host)
			n, _ := start(t, host, wish(t))
			ns, p := plug(t, n, "a/0")
			netnstest.Do(t, ns, func() error {
				for _, line := range lines {
					if err := exec.Command("ip", strings.Fields(line)...).Run(); err != nil {
						return err
					}
				}
				return nil
			})
			if err := n.Expel(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			same(t, host, before)
		})
	}
}

// The plugin was killed: the next one knows what the first one lent.
func TestAdopts(t *testing.T) {
	t.Parallel()
	host, _ := newHost(t)
	before := describe(t, host)
	c := wish(t)
	first, _ := start(t, host, c)
	ns, p := plug(t, first, "a/0")
	c.Ports = []networkplugin.Port{p}
	second, r := start(t, host, c)
	if r.MTU != 1500 || len(second.Check(t.Context())) != 0 {
		t.Errorf("realization: %+v, faults %q", r, second.Check(t.Context()))
	}
	if err := netnstest.Ping(ns, "192.0.2.9", "", soon); err != nil {
		t.Error(err)
	}
	if err := second.Expel(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	same(t, host, before)
}

// The container ended while no plugin was there, and the kernel put the
// interface, a physical one, back on the host under some name.
func TestAdoptsWhatTheKernelGaveBack(t *testing.T) {
	t.Parallel()
	host, _ := newHost(t)
	before := describe(t, host)
	c := wish(t)
	first, _ := start(t, host, c)
	ns, _ := plug(t, first, "a/0")
	inside := netnstest.Link(t, ns)
	if err := inside.Move("eth0", link.Peer{Namespace: host, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	start(t, host, c) // without the port
	same(t, host, before)
}

// A name that somebody else took meanwhile is waited for.
func TestNameTakenMeanwhile(t *testing.T) {
	t.Parallel()
	host, _ := newHost(t)
	before := describe(t, host)
	n, _ := start(t, host, wish(t))
	_, p := plug(t, n, "a/0")
	netnstest.Bridge(t, host, "dev0")
	if err := n.Expel(t.Context(), p); !errdefs.IsAlreadyExists(err) || !strings.Contains(err.Error(), "dev0") {
		t.Errorf("expel: %v", err)
	}
	if err := netnstest.Link(t, host).Delete("dev0"); err != nil {
		t.Fatal(err)
	}
	if err := n.Expel(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	same(t, host, before)
}

func TestDeviceErrors(t *testing.T) {
	t.Parallel()
	host, _ := newHost(t)
	netnstest.Bridge(t, host, "br0")
	if err := netnstest.Link(t, host).AddBridgePort("br0", "port0", link.Peer{Namespace: netnstest.New(t), Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{
		"eth7": "option device=eth7: interface eth7: is not there", "lo": "is the loopback interface", "br0": "is a bridge",
		"port0": "is a port of a bridge", "up0": "has the host's default route", "": "option device: give the host interface",
	} {
		c := wish(t)
		c.Options[optionDevice] = device
		n, err := newIn(host, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("device %q: error = %v, want %q in it", device, err, want)
		}
	}
}

func TestWatchReportsTheDevice(t *testing.T) {
	t.Parallel()
	host, _ := newHost(t)
	n, _ := start(t, host, wish(t))
	ctx, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	reports := make(chan string, 16)
	go func() {
		defer close(reports)
		n.Watch(ctx, func(s resource.NetworkState, message string) { reports <- string(s) + " " + message })
	}()
	expect := func(want string) {
		t.Helper()
		if got := <-reports; got != want {
			t.Errorf("got report %q, want %q", got, want)
		}
	}
	expect("ready ")
	_, p := plug(t, n, "a/0") // nothing is wrong while it is lent
	if err := n.Expel(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := netnstest.Link(t, host).Delete("dev0"); err != nil {
		t.Fatal(err)
	}
	expect("degraded device dev0: the interface is gone")
	if faults := n.Check(t.Context()); len(faults) != 1 {
		t.Errorf("faults: %q", faults)
	}
}
