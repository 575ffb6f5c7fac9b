//go:build integration

package bridge

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// quick waits until ports are on the fast path; the kernel tells the plugin of them.
func (s *served) quick(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		deadline := time.Now().Add(soon)
		for {
			on, why := s.short.carries(s.portName(key))
			if on {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("port %s: is not on the fast path: %s", key, why)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// passed tells whether a datagram from one container reaches the other one.
func passed(t *testing.T, from, to party) bool {
	t.Helper()
	text := fmt.Sprintf("from %s to %s", from.port.Key, to.port.Key)
	frame := hostile.Ethernet(to.MAC, from.MAC, 0x0800,
		hostile.IPv4(from.IPv4, to.IPv4, hostile.ProtocolUDP, 0, hostile.UDP(from.IPv4, to.IPv4, 4000, 4001, text)))
	if err := from.wire.Send(frame); err != nil {
		t.Fatal(err)
	}
	ok, err := to.wire.Await(func(f []byte) bool { return bytes.Equal(f, frame) }, none)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// Where the bridge is down, only what passes it by arrives.
func TestFastPath(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{VariantNAT, VariantInternal} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := configuration(idA, variant, "10.9.0.0/24", "fd09::/64")
			s := start(t, w, c)
			a, b := s.hear(t, "a/0"), s.hear(t, "b/0")
			s.quick(t, "a/0", "b/0")
			if err := netnstest.Link(t, w.host).SetDown(s.bridge); err != nil {
				t.Fatal(err)
			}
			if !passed(t, a, b) || !passed(t, b, a) {
				t.Error("neighbours do not take the fast path")
			}
			// The plugin dies. The next one adopts the ports.
			if err := s.Stop(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if !passed(t, a, b) {
				t.Error("the fast path ends with the plugin")
			}
			next, err := newIn(w.host, c)
			if err != nil {
				t.Fatal(err)
			}
			c.Adopted, c.Ports = true, []networkplugin.Port{a.port, b.port}
			if _, err := next.Start(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { next.Stop(context.Background(), false) })
			if err := netnstest.Link(t, w.host).SetDown(s.bridge); err != nil {
				t.Fatal(err)
			}
			if on, why := next.short.carries(next.portName("a/0")); !on || !passed(t, a, b) {
				t.Errorf("the next plugin has no fast path: %s", why)
			}
			// Who is expelled neither sends nor receives, here and by the bridge.
			if err := next.Expel(t.Context(), a.port); err != nil {
				t.Fatal(err)
			}
			if passed(t, b, a) {
				t.Error("what is sent to an expelled port arrives")
			}
		})
	}
}

// hear plugs a container whose frames are seen.
func (s *served) hear(t *testing.T, key string) party {
	t.Helper()
	b := s.plug(t, netnstest.New(t), key, "eth0")
	p := party{box: b, wire: netnstest.OpenWire(t, b.Namespace, b.iface)}
	p.MAC, p.IPv4 = b.port.Attachment.MACAddress.HardwareAddr(), b.port.Attachment.IPv4Address.Addr().AsSlice()
	return p
}

// hearers counts the sockets of a namespace that are told what happens to links.
func hearers(t *testing.T, ns *netns.Namespace) (count int) {
	t.Helper()
	var table []byte
	err := ns.Do(func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/netlink")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) { // sk, protocol, pid, groups
		columns := strings.Fields(line)
		if groups, err := strconv.ParseUint(columns[3], 16, 32); err == nil && columns[1] == "0" && groups&1 != 0 {
			count++
		}
	}
	return count
}

// News of links are told only while a port is waited for: the kernel goes through all
// listeners of all networks each time.
func TestNewsOfPortsWhileTheyAreAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	want := func(when string, count int) {
		t.Helper()
		if got := hearers(t, w.host); got != count {
			t.Errorf("%s: %d sockets hear of links, want %d", when, got, count)
		}
	}
	want("without ports", 0)
	s.plug(t, netnstest.New(t), "a/0", "eth0")
	want("when the only port may not be up", 0)
	s.plug(t, netnstest.New(t), "b/0", "eth0")
	s.quick(t, "a/0", "b/0")
	want("when all ports are up", 0)
	late := networkplugin.Port{Key: "c/0", Attachment: resource.Attachment{MACAddress: "02:00:00:00:00:0c"}}
	if err := s.Admit(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	want("when a port is awaited", 1)
	if err := s.Expel(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	want("when it is no longer", 0)
}

func TestFastPathIsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")
	c.Options = map[string]string{optionFastPath: "off"}
	s := start(t, w, c)
	a, b := s.party(t, "a/0"), s.party(t, "b/0")
	reaches(t, a.Namespace, b.v4)
	v, err := s.Explain(t.Context(), a.port, b.port.Attachment.IPv4Address.Addr())
	if err != nil || !strings.Contains(v.Why, "option fast-path is off") {
		t.Errorf("explained as %+v, error %v", v, err)
	}
	if err := netnstest.Link(t, w.host).SetDown(s.bridge); err != nil {
		t.Fatal(err)
	}
	if passed(t, a, b) {
		t.Error("frames pass the bridge by")
	}
}

// What a container with rate-out sends goes by the queue that holds the rate.
func TestFastPathKeepsRates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a, b := s.party(t, "a/0"), s.party(t, "b/0")
	s.party(t, "c/0")
	s.quick(t, "a/0", "b/0", "c/0")
	slow := a.port
	slow.Attachment.RateOut = resource.MinBitRate
	if err := s.Expel(t.Context(), a.port); err != nil {
		t.Fatal(err)
	}
	if err := s.Admit(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	ns := netnstest.New(t)
	s.connect(t, ns, slow, "eth0")
	a = party{box: box{Namespace: ns, port: slow, iface: "eth0"}, Party: a.Party, wire: netnstest.OpenWire(t, ns, "eth0")}
	deadline := time.Now().Add(soon)
	for _, why := s.short.carries(s.portName("a/0")); !strings.Contains(why, "rate-out"); _, why = s.short.carries(s.portName("a/0")) {
		if time.Now().After(deadline) {
			t.Fatalf("the port does not come up: %s", why)
		}
		time.Sleep(time.Millisecond)
	}
	if err := netnstest.Link(t, w.host).SetDown(s.bridge); err != nil {
		t.Fatal(err)
	}
	if passed(t, a, b) {
		t.Error("what it sends passes the queue by")
	}
	if !passed(t, b, a) {
		t.Error("what it is sent does not take the fast path")
	}
}
