//go:build integration

package bridge

import (
	"context"
	"encoding/json"
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
	soon = 2 * time.Minute        // an answer is expected
	none = 300 * time.Millisecond // no answer is expected
)

// host stands for the host, with a default route to outside, which stands for
// the internet and has no route back to any container.
type world struct {
	host, outside *netns.Namespace
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{host: netnstest.New(t), outside: netnstest.New(t)}
	netnstest.Pair(t,
		netnstest.End{
			Namespace: w.host, Name: "up0", Addresses: []string{"192.0.2.1/24", "2001:db8::1/64"},
			Routes: []resource.Route{netnstest.Default("192.0.2.9"), netnstest.Default("2001:db8::9")},
		},
		netnstest.End{Namespace: w.outside, Name: "net0", Addresses: []string{"192.0.2.9/24", "2001:db8::9/64"}})
	return w
}

// served is a started network with what the SDK does around it.
type served struct {
	*Network
	world
	realized networkplugin.Realization
	next     netip.Addr
	next6    netip.Addr
}

func configuration(id, variant, v4, v6 string) networkplugin.Configuration {
	c := networkplugin.Configuration{ID: id, Name: id, Variant: variant}
	if v4 != "" {
		c.IPv4Subnet, c.IPv6Subnet = netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)
	}
	return c
}

func start(t *testing.T, w world, c networkplugin.Configuration) *served {
	t.Helper()
	n, err := newIn(w.host, c)
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
		assertClean(t, w.host)
	})
	s := &served{Network: n, world: w, realized: r}
	s.next, s.next6 = firstAddress(r.IPv4Subnet), firstAddress(r.IPv6Subnet)
	return s
}

// assertClean finds what Patchbay left in a host namespace, once its last
// network is gone.
func assertClean(t *testing.T, host *netns.Namespace) {
	t.Helper()
	all, err := netnstest.Link(t, host).Interfaces()
	if err != nil {
		t.Error(err)
	}
	for _, i := range all {
		if i.Kind == "bridge" {
			return // of another network
		}
	}
	if len(all) != 2 { // loopback and uplink
		t.Errorf("left: %+v", all)
	}
	if out := ruleset(t, host); out != "" {
		t.Errorf("left in nftables:\n%s", out)
	}
}

func ruleset(t *testing.T, ns *netns.Namespace) string {
	t.Helper()
	var out []byte
	netnstest.Do(t, ns, func() (err error) {
		out, err = exec.Command("nft", "list", "ruleset").CombinedOutput()
		return err
	})
	return string(out)
}

func nft(t *testing.T, ns *netns.Namespace, args ...string) {
	t.Helper()
	netnstest.Do(t, ns, func() error { return exec.Command("nft", args...).Run() })
}

// box is a sandbox with one attachment.
type box struct {
	*netns.Namespace
	port   networkplugin.Port
	v4, v6 string
	iface  string
}

// plug attaches ns to the network as a runtime does.
func (s *served) plug(t *testing.T, ns *netns.Namespace, key, iface string) box {
	t.Helper()
	s.next, s.next6 = s.next.Next(), s.next6.Next()
	p := networkplugin.Port{Key: key, Owner: key, Attachment: resource.Attachment{
		NetworkID:   s.id,
		IPv4Address: netip.PrefixFrom(s.next, s.realized.IPv4Subnet.Bits()),
		IPv4Gateway: s.realized.IPv4Gateway,
		IPv6Address: netip.PrefixFrom(s.next6, s.realized.IPv6Subnet.Bits()),
		IPv6Gateway: s.realized.IPv6Gateway,
		MACAddress:  macaddress.Stable(s.id, key),
		MTU:         s.realized.MTU,
	}, NetworkNamespace: ns.Path()}
	if err := s.Admit(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.connect(t, ns, p, iface)
	return box{Namespace: ns, port: p, v4: s.next.String(), v6: s.next6.String(), iface: iface}
}

// connect makes the interface that the port's plan says.
func (s *served) connect(t *testing.T, ns *netns.Namespace, p networkplugin.Port, iface string) {
	t.Helper()
	plan, err := s.Plan(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var parameters resource.BridgePortParameters
	data, err := json.Marshal(plan)
	if err == nil {
		err = json.Unmarshal(data, &parameters)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := netnstest.Link(t, s.world.host)
	err = h.AddBridgePort(parameters.Bridge, parameters.Port, link.Peer{Namespace: ns, Name: iface, MAC: p.Attachment.MACAddress, MTU: p.Attachment.MTU})
	if err != nil {
		t.Fatal(err)
	}
	var routes []resource.Route
	if p.Attachment.IPv4Gateway.IsValid() {
		routes = []resource.Route{netnstest.Default(p.Attachment.IPv4Gateway.String()), netnstest.Default(p.Attachment.IPv6Gateway.String())}
	}
	if err := netnstest.Link(t, ns).Configure(iface, []netip.Prefix{p.Attachment.IPv4Address, p.Attachment.IPv6Address}, routes); err != nil {
		t.Fatal(err)
	}
}

func reaches(t *testing.T, from *netns.Namespace, targets ...string) {
	t.Helper()
	for _, target := range targets {
		if err := netnstest.Ping(from, target, "", soon); err != nil {
			t.Error(err)
		}
	}
}

func reachesNot(t *testing.T, from *netns.Namespace, targets ...string) {
	t.Helper()
	for _, target := range targets {
		if err := netnstest.Ping(from, target, "", none); err == nil {
			t.Errorf("%s answers", target)
		}
	}
}

const (
	idA = "aaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbb"
)

func TestNAT(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "", ""))
	a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")

	reaches(t, a.Namespace, b.v4, b.v6, s.realized.IPv4Gateway.String(), s.realized.IPv6Gateway.String(), "192.0.2.9", "2001:db8::9")
	reaches(t, w.host, a.v4, a.v6)
	netnstest.Listen(t, w.outside, "192.0.2.9:80")
	netnstest.Listen(t, w.outside, "[2001:db8::9]:80")
	for address, want := range map[string]string{"192.0.2.9:80": "192.0.2.1", "[2001:db8::9]:80": "2001:db8::1"} {
		if seen, err := netnstest.Dial(a.Namespace, address, soon); err != nil || seen != want {
			t.Errorf("outside sees %q, error %v; want the host's %s", seen, err, want)
		}
	}
	// Within the network nothing is translated.
	netnstest.Listen(t, b.Namespace, b.v4+":80")
	if seen, err := netnstest.Dial(a.Namespace, b.v4+":80", soon); err != nil || seen != a.v4 {
		t.Errorf("the neighbour sees %q, error %v; want %s", seen, err, a.v4)
	}
	// Starting again repairs, and keeps the ports, though the call names none.
	if _, err := s.Start(t.Context(), configuration(idA, VariantNAT, s.realized.IPv4Subnet.String(), s.realized.IPv6Subnet.String())); err != nil {
		t.Fatal(err)
	}
	reaches(t, a.Namespace, b.v4, b.v6, "192.0.2.9")
	// A router outside that knows the way does not get in.
	err := netnstest.Link(t, w.outside).Configure("net0", nil, []resource.Route{
		{Destination: s.realized.IPv4Subnet, Gateway: netip.MustParseAddr("192.0.2.1")},
		{Destination: s.realized.IPv6Subnet, Gateway: netip.MustParseAddr("2001:db8::1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	reachesNot(t, w.outside, a.v4, a.v6)
	if faults := s.Check(t.Context()); len(faults) != 0 {
		t.Errorf("faults: %q", faults)
	}
}

func TestInternal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantInternal, "10.9.0.0/24", "fd09::/64"))
	nat := start(t, w, configuration(idB, VariantNAT, "10.8.0.0/24", "fd08::/64")) // forwarding is on
	a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")
	other := nat.plug(t, netnstest.New(t), "c/0", "eth0")
	if s.realized.IPv4Gateway.IsValid() || s.realized.IPv6Gateway.IsValid() || len(s.realized.Reserved) != 2 {
		t.Errorf("realization: %+v, want no gateway", s.realized)
	}
	reaches(t, a.Namespace, b.v4, b.v6, "10.9.0.1", "fd09::1")
	reaches(t, w.host, a.v4, a.v6)
	reachesNot(t, a.Namespace, "192.0.2.9", "2001:db8::9") // no route

	// A container that makes itself a route gets no further.
	err := netnstest.Link(t, a.Namespace).Configure("eth0", nil, []resource.Route{netnstest.Default("10.9.0.1"), netnstest.Default("fd09::1")})
	if err != nil {
		t.Fatal(err)
	}
	reachesNot(t, a.Namespace, "192.0.2.9", "2001:db8::9", "192.0.2.1", "2001:db8::1", other.v4, other.v6)
	reachesNot(t, other.Namespace, a.v4, a.v6)
	netnstest.Listen(t, w.host, "10.9.0.1:80")
	if _, err := netnstest.Dial(a.Namespace, "10.9.0.1:80", none); err == nil {
		t.Error("a service of the host is reachable")
	}
	netnstest.Listen(t, a.Namespace, a.v4+":80")
	if _, err := netnstest.Dial(w.host, a.v4+":80", soon); err != nil {
		t.Errorf("from the host: %v", err)
	}
}

func TestNetworksAreIsolated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	two := start(t, w, configuration(idB, VariantNAT, "10.8.0.0/24", "fd08::/64"))
	a, b := one.plug(t, netnstest.New(t), "a/0", "eth0"), two.plug(t, netnstest.New(t), "b/0", "eth0")
	reachesNot(t, a.Namespace, b.v4, b.v6)
	reaches(t, a.Namespace, "192.0.2.9")
	// It is the rules that keep them apart.
	nft(t, w.host, "insert", "rule", "inet", "patchbay", "forward", "accept")
	reaches(t, a.Namespace, b.v4, b.v6)
}

func TestSpoofedSourcesAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")
	// a takes further addresses; without the rules they work.
	stolen := []netip.Prefix{netip.MustParsePrefix("10.9.0.77/24"), netip.MustParsePrefix("fd09::77/64")}
	if err := netnstest.Link(t, a.Namespace).Configure("eth0", stolen, nil); err != nil {
		t.Fatal(err)
	}
	spoofs := func(answer time.Duration) (worked int) {
		for target, source := range map[string]string{b.v4: "10.9.0.77", b.v6: "fd09::77"} {
			if netnstest.Ping(a.Namespace, target, source, answer) == nil {
				worked++
			}
		}
		return worked
	}
	if n := spoofs(none); n != 0 {
		t.Errorf("%d of 2 stolen addresses work", n)
	}
	// Nor can anybody be made to believe that a has them.
	reachesNot(t, b.Namespace, "10.9.0.77", "fd09::77")
	for target, source := range map[string]string{b.v4: a.v4, b.v6: a.v6} {
		if err := netnstest.Ping(a.Namespace, target, source, soon); err != nil {
			t.Errorf("from its own address: %v", err)
		}
	}

	nft(t, w.host, "insert", "rule", "bridge", "patchbay", "prerouting", "accept")
	if n := spoofs(soon); n != 2 {
		t.Errorf("%d of 2 stolen addresses work without the rules: the test proves nothing", n)
	}
}

func TestSpoofedMACIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")
	reaches(t, a.Namespace, b.v4)
	netnstest.Do(t, a.Namespace, func() error {
		return exec.Command("ip", "link", "set", "eth0", "address", string(b.port.Attachment.MACAddress)).Run()
	})
	reachesNot(t, a.Namespace, "10.9.0.1", "fd09::1")
	reaches(t, w.host, b.v4, b.v6) // nothing was learned from a
}

func TestExpel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")
	reaches(t, a.Namespace, b.v4, b.v6)
	for range 2 { // also where there is nothing left
		if err := s.Expel(t.Context(), a.port); err != nil {
			t.Fatal(err)
		}
		// The namespace lives, and so could a process in it.
		reachesNot(t, a.Namespace, b.v4, b.v6, "10.9.0.1")
	}
	if strings.Contains(ruleset(t, w.host), s.portName("a/0")) {
		t.Error("the port is still in the packet filter")
	}
	reaches(t, b.Namespace, "10.9.0.1", "fd09::1")
	// The same attachment comes back at once, in another sandbox.
	again := netnstest.New(t)
	if err := s.Admit(t.Context(), a.port); err != nil {
		t.Fatal(err)
	}
	s.connect(t, again, a.port, "eth0")
	reaches(t, again, b.v4, b.v6)
}

// Without the link, the element alone stands between a left-over process and
// the network.
func TestRevocationAloneSilences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	reaches(t, a.Namespace, "10.9.0.1")
	if err := s.filter.Revoke(s.filterPort(a.port)); err != nil {
		t.Fatal(err)
	}
	reachesNot(t, a.Namespace, "10.9.0.1", "fd09::1")
}

// A second process takes over what a killed one left; traffic goes on.
func TestStartAdopts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := configuration(idA, VariantNAT, "", "")
	s := start(t, w, c)
	a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")
	if err := s.Stop(t.Context(), false); err != nil { // all goes on without it
		t.Fatal(err)
	}
	reaches(t, a.Namespace, b.v4, "192.0.2.9")

	c.IPv4Subnet, c.IPv6Subnet = s.realized.IPv4Subnet, s.realized.IPv6Subnet
	c.Ports = []networkplugin.Port{a.port} // b's sandbox is gone
	next, err := newIn(w.host, c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := next.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := next.Stop(context.Background(), false); err != nil {
			t.Error(err)
		}
	}()
	if r.IPv4Subnet != s.realized.IPv4Subnet || r.IPv6Subnet != s.realized.IPv6Subnet {
		t.Errorf("subnets changed: %+v", r)
	}
	reaches(t, a.Namespace, "192.0.2.9", "2001:db8::9")
	reachesNot(t, b.Namespace, "10.9.0.1", "192.0.2.9")
	after := ruleset(t, w.host)
	if strings.Contains(after, next.portName("b/0")) || !strings.Contains(after, next.portName("a/0")) {
		t.Errorf("elements after the adoption:\n%s", after)
	}
}

func TestOverlapsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := configuration(idA, VariantNAT, "192.0.2.0/25", "2001:db8::/80")
	n, err := newIn(w.host, c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Start(t.Context(), c)
	if !errdefs.IsAlreadyExists(err) || !strings.Contains(err.Error(), "192.0.2.0/24") || !strings.Contains(err.Error(), "2001:db8::/64") {
		t.Errorf("error = %v, want both overlaps named", err)
	}
	if err := n.Stop(t.Context(), true); err != nil {
		t.Error(err)
	}
	assertClean(t, w.host)
}

func BenchmarkAdmitAndExpel(b *testing.B) {
	host := netnstest.New(b)
	c := configuration(idA, VariantNAT, "10.9.0.0/16", "fd09::/64")
	n, err := newIn(host, c)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := n.Start(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	p := networkplugin.Port{Key: "a/0", Attachment: resource.Attachment{
		IPv4Address: netip.MustParsePrefix("10.9.0.2/16"), IPv6Address: netip.MustParsePrefix("fd09::2/64"), MACAddress: "02:00:00:00:00:0a",
	}}
	h := netnstest.Link(b, host)
	for b.Loop() {
		b.StopTimer()
		ns, err := netns.New()
		if err == nil {
			err = h.AddBridgePort(n.bridge, n.portName(p.Key), link.Peer{Namespace: ns, Name: "eth0"})
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := n.Admit(b.Context(), p); err != nil {
			b.Fatal(err)
		}
		if err := n.Expel(b.Context(), p); err != nil {
			b.Fatal(err)
		}
		ns.Close()
	}
	b.StopTimer()
	if err := n.Stop(context.Background(), true); err != nil {
		b.Fatal(err)
	}
}

func TestFlushedFilterHeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	before := ruleset(t, w.host)
	nft(t, w.host, "flush", "ruleset")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for ruleset(t, w.host) != before {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not healed:\n%s", ruleset(t, w.host))
		}
	}
	reaches(t, a.Namespace, "192.0.2.9", "2001:db8::9")
}

func TestOneFamily(t *testing.T) {
	t.Parallel()
	for off, want := range map[string]int{"ipv4": 6, "ipv6": 4} {
		t.Run(off+" off", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := configuration(idA, VariantNAT, "", "")
			c.Options = map[string]string{off: "off"}
			n, err := newIn(w.host, c)
			if err != nil {
				t.Fatal(err)
			}
			r, err := n.Start(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if r.IPv4Subnet.IsValid() != (want == 4) || r.IPv6Subnet.IsValid() != (want == 6) {
				t.Errorf("realization: %+v", r)
			}
			if faults := n.Check(t.Context()); len(faults) != 0 {
				t.Errorf("faults: %q", faults)
			}
			if err := n.Stop(t.Context(), true); err != nil {
				t.Error(err)
			}
			assertClean(t, w.host)
		})
	}
}
