//go:build integration

package bridge

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/resource"
)

// What a container reaches of the host is the network's option, whichever of the
// host's addresses it tries.
func TestHostAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := start(t, w, configuration(idB, VariantNAT, "10.8.0.0/24", "fd08::/64"))
	gateways := []string{"10.9.0.1:80", "[fd09::1]:80"}
	others := []string{"192.0.2.1:80", "[2001:db8::1]:80", "10.8.0.1:80", "[fd08::1]:80"}
	other.plug(t, netnstest.New(t), "other/0", "eth0") // gives the other bridge a carrier
	netnstest.Listen(t, w.host, ":80")
	tests := []struct {
		variant, option  string
		gateway, further bool
	}{
		{VariantNAT, "", false, false},
		{VariantNAT, "none", false, false},
		{VariantNAT, "gateway", true, false},
		{VariantNAT, "all", true, true},
		{VariantInternal, "", false, false},
		{VariantInternal, "gateway", true, false},
		{VariantInternal, "all", true, true},
	}
	for _, tt := range tests { // on the same subnet, so one after the other
		t.Run(tt.variant+" "+tt.option, func(t *testing.T) {
			c := configuration(idA, tt.variant, "10.9.0.0/24", "fd09::/64")
			if tt.option != "" {
				c.Options = map[string]string{"host-access": tt.option}
			}
			s := start(t, w, c)
			a := s.plug(t, netnstest.New(t), "a/0", "eth0")
			if tt.variant == VariantInternal { // makes itself the routes that it was not given
				if err := netnstest.Link(t, a.Namespace).Configure("eth0", nil, []resource.Route{netnstest.Default("10.9.0.1"), netnstest.Default("fd09::1")}); err != nil {
					t.Fatal(err)
				}
			}
			reaches(t, a.Namespace, "10.9.0.1", "fd09::1") // pings always
			netnstest.Listen(t, a.Namespace, ":81")
			access := func() {
				t.Helper()
				dial(t, a.Namespace, gateways, tt.gateway)
				dial(t, a.Namespace, others, tt.further)
				dial(t, w.host, []string{net.JoinHostPort(a.v4, "81"), net.JoinHostPort(a.v6, "81")}, true)
			}
			access()
			s.plug(t, netnstest.New(t), "b/0", "eth0")
			s.quick(t, "a/0")
			access()
		})
	}
}

// dial tries all addresses at once.
func dial(t *testing.T, from *netns.Namespace, addresses []string, want bool) {
	t.Helper()
	timeout := none
	if want {
		timeout = soon
	}
	results := make([]chan error, len(addresses))
	for i, a := range addresses {
		results[i] = make(chan error, 1)
		go func() {
			_, err := netnstest.Dial(from, a, timeout)
			results[i] <- err
		}()
	}
	for i, a := range addresses {
		if err := <-results[i]; (err == nil) != want {
			t.Errorf("%s: error %v, want it reached: %v", a, err, want)
		}
	}
}

// Another program's table accepts everything, before and after Patchbay's.
const permissive = `table inet permissive {
	chain early { type filter hook forward priority -300; policy accept; accept; }
	chain late { type filter hook forward priority 300; policy accept; accept; }
	chain early-input { type filter hook input priority -300; policy accept; accept; }
	chain late-input { type filter hook input priority 300; policy accept; accept; }
}`

func TestIsolationHoldsWhereOthersAccept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nft(t, w.host, permissive)
	one := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	two := start(t, w, configuration(idB, VariantNAT, "10.8.0.0/24", "fd08::/64"))
	t.Cleanup(func() { nft(t, w.host, "delete", "table", "inet", "permissive") })
	a, b := one.plug(t, netnstest.New(t), "a/0", "eth0"), two.plug(t, netnstest.New(t), "b/0", "eth0")
	one.plug(t, netnstest.New(t), "a/1", "eth0")
	two.plug(t, netnstest.New(t), "b/1", "eth0")
	one.quick(t, "a/0")
	two.quick(t, "b/0")
	netnstest.Listen(t, w.host, ":80")
	reaches(t, a.Namespace, "192.0.2.9", "2001:db8::9")
	reachesNot(t, a.Namespace, b.v4, b.v6, "10.8.0.1", "fd08::1")
	dial(t, a.Namespace, []string{"10.9.0.1:80", "[fd09::1]:80", "10.8.0.1:80", "[fd08::1]:80", "192.0.2.1:80", "[2001:db8::1]:80"}, false)
	// Nor does one get across by the other's router: a frame to its own bridge
	// with the neighbour network's address as the next hop's.
	if err := netnstest.Link(t, a.Namespace).Configure("eth0", nil, []resource.Route{
		{Destination: netip.MustParsePrefix("10.8.0.0/24"), Gateway: netip.MustParseAddr("10.9.0.1")},
		{Destination: netip.MustParsePrefix("fd08::/64"), Gateway: netip.MustParseAddr("fd09::1")},
	}); err != nil {
		t.Fatal(err)
	}
	reachesNot(t, a.Namespace, b.v4, b.v6)
}

// Only answers come in from outside: a packet that conntrack cannot place is
// none, whoever sends it.
func TestStrayPacketsDoNotComeIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a := s.party(t, "a/0")
	outside := netnstest.OpenWire(t, w.outside, "net0")
	uplink, err := netnstest.Link(t, w.host).Interface("up0")
	if err != nil {
		t.Fatal(err)
	}
	reaches(t, w.host, a.v4) // knows its MAC address from now on
	// An ICMP error about a connection that does not exist is "invalid".
	stray := func() []byte {
		about := hostile.IPv4(a.IPv4, hostile.Address("198.51.100.7"), hostile.ProtocolUDP, 0, hostile.UDP(a.IPv4, a.IPv4, 9, 9, "about"))
		m := slices.Concat([]byte{3, 1, 0, 0, 0, 0, 0, 0}, about)
		copy(m[2:], hostile.Sum(m))
		return hostile.Ethernet(uplink.MAC.HardwareAddr(), []byte{2, 0, 0, 0, 0, 9}, 0x0800, hostile.IPv4(hostile.Address("192.0.2.9"), a.IPv4, 1, 0, m))
	}
	arrives := func(timeout time.Duration) bool {
		if err := outside.Send(stray()); err != nil {
			t.Fatal(err)
		}
		ok, err := a.wire.Await(func(f []byte) bool { return len(f) > 34 && f[23] == 1 && f[34] == 3 }, timeout)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if arrives(none) {
		t.Error("a stray packet came in")
	}
	nft(t, w.host, "insert", "rule", "inet", "patchbay", "to-nat", "accept")
	if !arrives(soon) {
		t.Error("does not come in without the rule: the test proves nothing")
	}
}

// Connections through a narrower path begin with segments that fit it.
func TestSegmentsFitThePath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")
	c.MTU = 1500
	s := start(t, w, c)
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	netnstest.Do(t, w.host, func() error {
		return exec.Command("ip", "link", "set", "up0", "mtu", "1380").Run()
	})
	outside := netnstest.OpenWire(t, w.outside, "net0")
	for target, headers := range map[string]int{"192.0.2.9:80": 20, "[2001:db8::9]:80": 40} {
		_, _ = netnstest.Dial(a.Namespace, target, none) // nobody listens: the first segment is enough
		var size int
		ok, err := outside.Await(func(f []byte) bool { size = segmentSize(f, headers); return size > 0 }, soon)
		if err != nil || !ok || size != 1380-headers-20 {
			t.Errorf("%s: maximum segment size %d, error %v, want %d", target, size, err, 1380-headers-20)
		}
	}
}

// segmentSize returns the maximum segment size in a SYN, 0 for other frames.
func segmentSize(frame []byte, headers int) int {
	kind, next := 0x0800, 23
	if headers == 40 {
		kind, next = 0x86dd, 20
	}
	at := 14 + headers
	if len(frame) < at+24 || int(binary.BigEndian.Uint16(frame[12:])) != kind || frame[next] != 6 || frame[at+13] != 2 || frame[at+20] != 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(frame[at+22:]))
}

// Another program loads its whole configuration, which begins with a flush of
// everybody's: its tables stay as it made them, and Patchbay's come back.
func TestReloadOfForeignRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	t.Cleanup(func() { nft(t, w.host, "delete", "table", "inet", "permissive") })
	nft(t, w.host, permissive)
	before := ruleset(t, w.host)
	foreign := before[strings.Index(before, "table inet permissive"):]
	nft(t, w.host, "flush ruleset; "+permissive)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for len(s.Check(t.Context())) > 0 {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not healed:\n%s", ruleset(t, w.host))
		}
	}
	after := ruleset(t, w.host)
	if !strings.Contains(after, foreign) || len(after) != len(before) {
		t.Errorf("tables before:\n%s\nafter:\n%s", before, after)
	}
	reaches(t, a.Namespace, "192.0.2.9", "2001:db8::9")
}
