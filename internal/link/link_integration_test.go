//go:build integration

package link_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

const soon = 2 * time.Minute // an answer is expected

// box makes a sandbox with one port on the bridge of host.
func box(t testing.TB, h *link.Handle, bridge, port string, mac resource.MACAddress, addresses ...string) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	if err := h.AddBridgePort(bridge, port, link.Peer{Namespace: ns, Name: "eth0", MAC: mac, MTU: 1400}); err != nil {
		t.Fatal(err)
	}
	var prefixes []netip.Prefix
	for _, a := range addresses {
		prefixes = append(prefixes, netip.MustParsePrefix(a))
	}
	routes := []resource.Route{netnstest.Default("10.9.0.1"), netnstest.Default("fd09::1")}
	if err := netnstest.Link(t, ns).Configure("eth0", prefixes, routes); err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestBridgePortsReachOneAnotherAtOnce(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")
	a := box(t, h, "br0", "p0", "02:00:00:00:00:0a", "10.9.0.2/24", "fd09::2/64")
	b := box(t, h, "br0", "p1", "02:00:00:00:00:0b", "10.9.0.3/24", "fd09::3/64")

	for _, ns := range []*netns.Namespace{a, b, host} { // there is no duplicate address detection, which takes a second
		netnstest.Do(t, ns, func() error {
			out, err := exec.Command("ip", "-6", "-oneline", "address", "show", "scope", "global", "tentative").CombinedOutput()
			if err == nil && len(out) > 0 {
				err = fmt.Errorf("addresses cannot be used yet: %s", out)
			}
			return err
		})
	}
	for _, target := range []string{"fd09::3", "fd09::1", "10.9.0.3", "10.9.0.1"} {
		if err := netnstest.Ping(a, target, "", soon); err != nil {
			t.Errorf("from a: %v", err)
		}
	}
	if err := netnstest.Ping(host, "fd09::3", "", soon); err != nil {
		t.Errorf("from the host: %v", err)
	}
	netnstest.Listen(t, b, "[fd09::3]:80")
	if seen, err := netnstest.Dial(a, "[fd09::3]:80", soon); err != nil || seen != "fd09::2" {
		t.Errorf("tcp over IPv6: seen as %q, error %v", seen, err)
	}

	inside, err := netnstest.Link(t, a).Interface("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if inside.MAC != "02:00:00:00:00:0a" || inside.MTU != 1400 || inside.Kind != "veth" {
		t.Errorf("inside: %+v", inside)
	}
	addresses, err := h.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if address.Interface == "p0" {
			t.Errorf("the host's end has address %v", address.Prefix)
		}
	}
	// Else each port makes each other one's coming and going dearer.
	netnstest.Do(t, host, func() error {
		if off := sysctl.Get("ipv6/conf/p0/disable_ipv6"); off != "1" {
			t.Errorf("the host's end takes part in IPv6: disable_ipv6 is %q", off)
		}
		return nil
	})
}

func TestAddBridgePortErrors(t *testing.T) {
	t.Parallel()
	host, sandbox := netnstest.New(t), netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "br0")
	if err := h.AddBridgePort("br1", "p0", link.Peer{Namespace: sandbox, Name: "eth0"}); !errdefs.IsNotFound(err) {
		t.Errorf("no bridge: %v", err)
	}
	if err := h.AddBridgePort("br0", "p0", link.Peer{Namespace: sandbox, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	if err := h.AddBridgePort("br0", "p1", link.Peer{Namespace: sandbox, Name: "eth0"}); !errdefs.IsAlreadyExists(err) {
		t.Errorf("name inside taken: %v", err)
	}
	if _, err := h.Interface("p1"); !errdefs.IsNotFound(err) {
		t.Errorf("a failed port is left: %v", err)
	}
	// The port of a dead sandbox gives way to its successor.
	other := netnstest.New(t)
	if err := h.AddBridgePort("br0", "p0", link.Peer{Namespace: other, Name: "eth0"}); err != nil {
		t.Errorf("left-over port: %v", err)
	}
	if _, err := netnstest.Link(t, sandbox).Interface("eth0"); !errdefs.IsNotFound(err) {
		t.Errorf("the old port's inner end is still there: %v", err)
	}
	if err := h.AddBridgePort("br0", "p9", link.Peer{Namespace: netnstest.New(t), Name: "eth0", MTU: 10}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("mtu 10: %v", err)
	}
}

// A macvtap's frames go through its file, and end with its namespace.
func TestMacvtap(t *testing.T) {
	t.Parallel()
	host, outside, apart := netnstest.New(t), netnstest.New(t), netnstest.New(t)
	netnstest.Pair(t, netnstest.End{Namespace: host, Name: "up0"}, netnstest.End{Namespace: outside, Name: "lan0", Addresses: []string{"10.8.0.9/24"}})
	mac := macaddress.Stable("macvtap", "10.8.0.2")
	queues, err := netnstest.Link(t, host).AddMacvtap("up0", resource.MacvlanBridge, link.Peer{Namespace: apart, Name: "eth0", MAC: mac}, 1)
	if err != nil {
		t.Fatal(err)
	}
	tap := queues[0]
	defer tap.Close()
	more, err := netnstest.Link(t, host).AddMacvtap("up0", resource.MacvlanBridge, link.Peer{Namespace: apart, Name: "eth1"}, 4)
	if err != nil || len(more) != 4 {
		t.Errorf("4 queues: %v, %v", more, err)
	}
	for _, f := range more {
		defer f.Close()
	}
	inside, err := netnstest.Link(t, apart).Interface("eth0")
	if err != nil || inside.Kind != "macvtap" || inside.MAC != mac || !inside.Up {
		t.Errorf("interface %+v, %v", inside, err)
	}
	if _, err := netnstest.Link(t, host).Interface("eth0"); !errdefs.IsNotFound(err) {
		t.Errorf("the host sees it: %v", err)
	}
	const virtioHeader = 10 // bytes of struct virtio_net_hdr
	request := make([]byte, virtioHeader)
	request = append(request, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	request = append(request, mac.HardwareAddr()...)
	request = append(request, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1) // a request of ARP (RFC 826)
	request = append(request, mac.HardwareAddr()...)
	request = append(request, 10, 8, 0, 2, 0, 0, 0, 0, 0, 0, 10, 8, 0, 9)
	if _, err := tap.Write(request); err != nil {
		t.Fatal(err)
	}
	tap.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		frame := make([]byte, 2048)
		n, err := tap.Read(frame)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if n < virtioHeader+42 || !bytes.Equal(frame[virtioHeader+12:virtioHeader+14], []byte{8, 6}) {
			continue // the kernel's own, such as a solicitation
		}
		if got := frame[virtioHeader+28 : virtioHeader+32]; !bytes.Equal(got, []byte{10, 8, 0, 9}) {
			t.Errorf("answer from %v", got)
		}
		return
	}
}

func TestMacvlanModes(t *testing.T) {
	t.Parallel()
	for mode, reaches := range map[resource.MacvlanMode]bool{resource.MacvlanBridge: true, resource.MacvlanPrivate: false} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			host, outside := netnstest.New(t), netnstest.New(t)
			netnstest.Pair(t, netnstest.End{Namespace: host, Name: "up0"},
				netnstest.End{Namespace: outside, Name: "lan0", Addresses: []string{"10.8.0.9/24", "fd08::9/64"}})
			h := netnstest.Link(t, host)
			boxes := make([]*netns.Namespace, 2)
			for i, address := range []string{"10.8.0.2/24", "10.8.0.3/24"} {
				boxes[i] = netnstest.New(t)
				mac := macaddress.Stable(string(mode), address)
				if err := h.AddMacvlan("up0", mode, link.Peer{Namespace: boxes[i], Name: "lan1", MAC: mac}); err != nil {
					t.Fatal(err)
				}
				in := netnstest.Link(t, boxes[i])
				if err := in.Configure("lan1", []netip.Prefix{netip.MustParsePrefix(address)}, nil); err != nil {
					t.Fatal(err)
				}
				if found, err := in.FindByMAC(mac); err != nil || found.Name != "lan1" {
					t.Errorf("find by mac: %+v, %v", found, err)
				}
				if err := netnstest.Ping(boxes[i], "10.8.0.9", "", soon); err != nil {
					t.Errorf("the lan: %v", err)
				}
			}
			answer := soon
			if !reaches {
				answer = 300 * time.Millisecond
			}
			err := netnstest.Ping(boxes[0], "10.8.0.3", "", answer)
			if (err == nil) != reaches {
				t.Errorf("one another: %v, want success %t", err, reaches)
			}
		})
	}
}

func TestConfigureErrors(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24")
	h := netnstest.Link(t, host)
	tests := map[string]struct {
		link      string
		addresses []netip.Prefix
		routes    []resource.Route
		want      error
	}{
		"no such interface":  {"eth7", nil, nil, errdefs.ErrNotFound},
		"address twice":      {"br0", []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}, nil, errdefs.ErrAlreadyExists},
		"gateway elsewhere":  {"br0", nil, []resource.Route{netnstest.Default("10.7.0.1")}, errdefs.ErrInvalidArgument},
		"gateway elsewhere6": {"br0", nil, []resource.Route{netnstest.Default("fd99::1")}, errdefs.ErrInvalidArgument},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := h.Configure(tt.link, tt.addresses, tt.routes); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestConfigureSysctls(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	netnstest.Bridge(t, ns, "br.0")
	h := netnstest.Link(t, ns)
	err := h.Configure("br.0", nil, nil, sysctl.Interface{Key: "net.ipv4.conf.IFNAME.arp_notify", Value: "0"}, sysctl.Interface{Key: "net.ipv6.neigh.IFNAME.ucast_solicit", Value: "7"})
	if err != nil {
		t.Fatal(err)
	}
	netnstest.Do(t, ns, func() error {
		for path, want := range map[string]string{"ipv4/conf/br.0/arp_notify": "0", "ipv6/neigh/br.0/ucast_solicit": "7", "ipv6/conf/br.0/accept_ra": "0"} {
			if b, err := os.ReadFile("/proc/sys/net/" + path); err != nil || strings.TrimSpace(string(b)) != want {
				t.Errorf("%s: %q, %v, want %s", path, b, err, want)
			}
		}
		return nil
	})
	err = h.Configure("br.0", nil, nil, sysctl.Interface{Key: "net.ipv4.conf.IFNAME.nonsense", Value: "1"}, sysctl.Interface{Key: "net.ipv4.conf.IFNAME.rp_filter", Value: "x"})
	if !errdefs.IsInvalidArgument(err) || strings.Count(err.Error(), "interface br.0: sysctl net.ipv4.conf.IFNAME.") != 2 {
		t.Errorf("unknown key and bad value: %v, want both told", err)
	}
}

func TestEnsureBridgeAdoptsAndRepairs(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	spec := link.BridgeSpec{
		Name: "br0", Alias: link.OwnerAlias("n1"), MAC: "02:00:00:00:00:01", MTU: 1400,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd09::1/64")},
	}
	if err := h.EnsureBridge(spec); err != nil {
		t.Fatal(err)
	}
	before, err := h.Interface("br0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Configure("br0", []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.SetDown("br0"); err != nil { // takes the IPv6 address off, too
		t.Fatal(err)
	}
	if faults := h.BridgeFaults(spec); len(faults) != 2 {
		t.Errorf("faults: %q, want down and an address", faults)
	}
	if err := h.EnsureBridge(spec); err != nil {
		t.Fatal(err)
	}
	after, err := h.Interface("br0")
	if err != nil || after.Index != before.Index || after.MTU != 1400 || after.MAC != spec.MAC {
		t.Errorf("after: %+v, %v; before: %+v", after, err, before)
	}
	if faults := h.BridgeFaults(spec); len(faults) != 0 {
		t.Errorf("faults after the repair: %q", faults)
	}
	addresses, err := h.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	var got []netip.Prefix
	for _, a := range addresses {
		if a.Interface == "br0" && !a.Prefix.Addr().IsLinkLocalUnicast() {
			got = append(got, a.Prefix)
		}
	}
	if diff := cmp.Diff(spec.Addresses, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	spec.Alias = link.OwnerAlias("n2")
	if err := h.EnsureBridge(spec); !errdefs.IsAlreadyExists(err) {
		t.Errorf("another network's bridge: %v", err)
	}
	if err := errors.Join(h.Delete("br0"), h.Delete("br0")); err != nil {
		t.Errorf("delete twice: %v", err)
	}
}

// What is deleted makes room at once, on either side, for one of the same names, MAC
// address and addresses, though the kernel is not done with it.
func TestDeletedLinkMakesRoomAtOnce(t *testing.T) {
	t.Parallel()
	host, sandbox := netnstest.New(t), netnstest.New(t)
	h, within := netnstest.Link(t, host), netnstest.Link(t, sandbox)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/16", "fd09::1/64")
	const rounds = 20
	for round := range rounds {
		if err := attach(h, sandbox); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := netnstest.Ping(sandbox, "10.9.0.1", "", soon); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		port, err := h.Interface("p0")
		if err != nil {
			t.Fatal(err)
		}
		// What a bridge says of a port that leaves it is not the end of the port.
		remove := func() error { return h.DeleteIndex(port.Index) }
		if exists, err := h.Exists(port.Index); !exists || err != nil {
			t.Fatalf("round %d: before it is deleted it exists: %v, %v", round, exists, err)
		}
		if round%2 == 0 { // as of the host's own, of which not all is heard
			remove = func() error { return host.Do(func() error { return rtnl.DeleteLink(nil, port.Index) }) }
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		for name, handle := range map[string]*link.Handle{"p0": h, "eth0": within} {
			if i, err := handle.Interface(name); !errdefs.IsNotFound(err) {
				t.Fatalf("round %d: %s after it was deleted: %+v, %v", round, name, i, err)
			}
		}
		if exists, err := h.Exists(port.Index); exists || err != nil {
			t.Fatalf("round %d: after it is deleted it exists: %v, %v", round, exists, err)
		}
		if err := h.DeleteIndex(port.Index); err != nil {
			t.Fatalf("delete it again: %v", err)
		}
		left, err := within.Addresses()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range left {
			if a.Interface != "lo" {
				t.Errorf("round %d: address %v of %q is left", round, a.Prefix, a.Interface)
			}
		}
	}
	if err := within.DeleteIndex(1); err == nil {
		t.Error("the loopback interface can be deleted")
	}
}

// Whoever deletes a link in a sandbox hears of all that happens to others there.
func TestDeletionAmongOtherNews(t *testing.T) {
	t.Parallel()
	host, sandbox := netnstest.New(t), netnstest.New(t)
	h, within := netnstest.Link(t, host), netnstest.Link(t, sandbox)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/16", "fd09::1/64")
	stop, busy := make(chan struct{}), make(chan error)
	go func() {
		other, err := link.Open(sandbox)
		for n := 0; err == nil; n++ {
			select {
			case <-stop:
				other.Close()
				busy <- nil
				return
			default:
				err = other.SetDown("lo")
			}
			if err == nil {
				err = other.LoopbackUp()
			}
		}
		busy <- err
	}()
	for round := range 20 {
		if err := attach(h, sandbox); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := within.Delete("eth0"); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if i, err := within.Interface("eth0"); !errdefs.IsNotFound(err) {
			t.Fatalf("round %d: after it was deleted: %+v, %v", round, i, err)
		}
	}
	close(stop)
	if err := <-busy; err != nil {
		t.Error(err)
	}
}

// A process of one processor has another one while it waits for the end of a link: with the one, who
// waits goes on when the Go runtime has noticed that the kernel is at work for the sender.
func TestDeletionSparesAProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	host, sandbox := netnstest.New(t), netnstest.New(t)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/16", "fd09::1/64")
	h, within := netnstest.Link(t, host), netnstest.Link(t, sandbox)
	const rounds = 10
	spared := 0
	for range rounds {
		if err := attach(h, sandbox); err != nil {
			t.Fatal(err)
		}
		var over atomic.Bool
		most := make(chan int)
		go func() {
			seen := 0
			for !over.Load() {
				seen = max(seen, runtime.GOMAXPROCS(0))
				runtime.Gosched()
			}
			most <- seen
		}()
		err := within.Delete("eth0")
		over.Store(true)
		if seen := <-most; seen > 1 {
			spared++
		}
		if err != nil {
			t.Fatal(err)
		}
		if now := runtime.GOMAXPROCS(0); now != 1 {
			t.Fatalf("%d processors after the deletion, want 1", now)
		}
	}
	if spared <= rounds/2 {
		t.Errorf("there was a second processor in %d deletions of %d, want it in nearly all", spared, rounds)
	}
}

// BenchmarkDetach is what whoever deletes a link waits for.
func BenchmarkDetach(b *testing.B) {
	host, sandbox := netnstest.New(b), netnstest.New(b)
	netnstest.Bridge(b, host, "br0", "10.9.0.1/16", "fd09::1/64")
	h, within := netnstest.Link(b, host), netnstest.Link(b, sandbox)
	for b.Loop() {
		b.StopTimer()
		if err := attach(h, sandbox); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := within.Delete("eth0"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttach(b *testing.B) {
	host := netnstest.New(b)
	netnstest.Bridge(b, host, "br0", "10.9.0.1/16", "fd09::1/64")
	h := netnstest.Link(b, host)
	for b.Loop() {
		ns, err := netns.New()
		if err != nil {
			b.Fatal(err)
		}
		if err := attach(h, ns); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := h.Delete("p0"); err != nil {
			b.Fatal(err)
		}
		ns.Close()
		b.StartTimer()
	}
}

func attach(h *link.Handle, ns *netns.Namespace) error {
	if err := h.AddBridgePort("br0", "p0", link.Peer{Namespace: ns, Name: "eth0", MAC: "02:00:00:00:00:0a"}); err != nil {
		return err
	}
	in, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer in.Close()
	return in.Configure("eth0",
		[]netip.Prefix{netip.MustParsePrefix("10.9.0.2/16"), netip.MustParsePrefix("fd09::2/64")},
		[]resource.Route{netnstest.Default("10.9.0.1"), netnstest.Default("fd09::1")})
}

// An address that moves to another sandbox is reached there at once, though the
// neighbours remember its former MAC address.
func TestMovedAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")
	neighbour := box(t, h, "br0", "p0", "02:00:00:00:00:0a", "10.9.0.2/24", "fd09::2/64")
	box(t, h, "br0", "p1", "02:00:00:00:00:0b", "10.9.0.3/24", "fd09::3/64")
	for _, ns := range []*netns.Namespace{neighbour, host} {
		for _, target := range []string{"10.9.0.3", "fd09::3"} {
			if err := netnstest.Ping(ns, target, "", soon); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.Delete("p1"); err != nil {
		t.Fatal(err)
	}
	box(t, h, "br0", "p2", "02:00:00:00:00:0c", "10.9.0.3/24", "fd09::3/64")
	for _, ns := range []*netns.Namespace{neighbour, host} {
		for _, target := range []string{"10.9.0.3", "fd09::3"} {
			if err := netnstest.Ping(ns, target, "", soon); err != nil {
				t.Error(err)
			}
		}
	}
}

// A host that has turned IPv6 off for new interfaces, or that listens to
// routers, keeps that: what we make is as we say.
func TestSysctlsOfTheHost(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	write := func(key, value string) {
		netnstest.Do(t, host, func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
	}
	read := func(key string) (value string) {
		netnstest.Do(t, host, func() error {
			b, err := os.ReadFile("/proc/sys/net/" + key)
			value = strings.TrimSpace(string(b))
			return err
		})
		return value
	}
	write("ipv6/conf/default/disable_ipv6", "1")
	netnstest.Bridge(t, host, "br0", "fd09::1/64")
	h := netnstest.Link(t, host)
	a := box(t, h, "br0", "p0", "02:00:00:00:00:0a", "10.9.0.2/24", "fd09::2/64")
	if err := netnstest.Ping(a, "fd09::1", "", soon); err != nil {
		t.Error(err)
	}

	write("ipv6/conf/default/disable_ipv6", "0")
	netnstest.Pair(t, netnstest.End{Namespace: host, Name: "up0"}, netnstest.End{Namespace: netnstest.New(t), Name: "lan0"})
	write("ipv6/conf/up0/accept_ra", "1")
	if err := h.Inside(func() error { return sysctl.EnableForwarding(true) }); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv6/conf/up0/accept_ra": "2", "ipv6/conf/br0/accept_ra": "0",
	} {
		if got := read(key); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
	faults := func() (faults []string) {
		netnstest.Do(t, host, func() error {
			faults = sysctl.ForwardingFaults(true)
			return nil
		})
		return faults
	}
	if faults := faults(); len(faults) != 0 {
		t.Errorf("faults: %q", faults)
	}
	write("ipv4/ip_forward", "0")
	if faults := faults(); len(faults) == 0 {
		t.Error("forwarding is off and no fault")
	}
}
