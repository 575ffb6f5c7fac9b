//go:build integration

package link_test

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
)

const (
	shortSegments = 64 << 10
	longSegments  = 256 << 10
)

// segments is what an interface takes at once of IPv4.
func segments(t *testing.T, ns *netns.Namespace, name string) (longest uint32) {
	t.Helper()
	netnstest.Do(t, ns, func() error {
		l, err := netlink.LinkByName(name)
		if err == nil {
			longest = l.Attrs().GSOIPv4MaxSize
		}
		return err
	})
	if longest == 0 {
		t.Skip("the kernel has no such limit for IPv4 (Linux 6.3)")
	}
	return longest
}

// Long segments go from the host to a container, and not from there: the next interface may
// not take them. Where a port of the bridge does not, the host sends short ones to all.
func TestLongSegments(t *testing.T) {
	t.Parallel()
	host, inner := netnstest.New(t), netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "bridge")
	add := func(port, inside string) {
		t.Helper()
		if err := h.AddBridgePort("bridge", port, link.Peer{Namespace: inner, Name: inside}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, want map[string]uint32) {
		t.Helper()
		for name, longest := range want {
			at := host
			if name == "eth0" {
				at = inner
			}
			if got := segments(t, at, name); got != longest {
				t.Errorf("%s: %s takes %d bytes at once, want %d", when, name, got, longest)
			}
		}
	}
	add("port0", "eth0")
	expect("a port", map[string]uint32{"bridge": longSegments, "port0": longSegments, "eth0": shortSegments})

	var tap []*os.File
	netnstest.Do(t, host, func() (err error) { tap, err = h.AddBridgeTap("bridge", "tap0", 0, 1); return err })
	add("port1", "eth1")
	expect("beside a tap", map[string]uint32{"bridge": shortSegments, "port1": longSegments})
	for _, f := range tap {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	add("port2", "eth2")
	expect("after the tap", map[string]uint32{"bridge": longSegments})
}

// Ports of an earlier release, which a bridge already has, take them too: the bridge sends them
// as soon as it gets another port.
func TestLongSegmentsOfEarlierPorts(t *testing.T) {
	t.Parallel()
	host, inner := netnstest.New(t), netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "bridge")
	if err := h.AddBridgePort("bridge", "port0", link.Peer{Namespace: inner, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	segments(t, host, "port0") // or skip
	netnstest.Do(t, host, func() error {
		l, err := netlink.LinkByName("port0")
		if err != nil {
			return err
		}
		return netlink.LinkSetGSOIPv4MaxSize(l, shortSegments)
	})
	netnstest.Bridge(t, host, "bridge")
	if got := segments(t, host, "port0"); got != longSegments {
		t.Errorf("takes %d bytes at once, want %d", got, longSegments)
	}
}
