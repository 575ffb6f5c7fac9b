//go:build integration

package rate_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/rate"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// box makes a sandbox on the bridge br0 of host.
func box(t *testing.T, host *netns.Namespace, port, address string) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	if err := netnstest.Link(t, host).AddBridgePort("br0", port, link.Peer{Namespace: ns, Name: "eth0", MTU: 1500}); err != nil {
		t.Fatal(err)
	}
	if err := netnstest.Link(t, ns).Configure("eth0", []netip.Prefix{netip.MustParsePrefix(address)}, nil); err != nil {
		t.Fatal(err)
	}
	return ns
}

// flood sends datagrams from inside ns, many more than a low rate lets through
// in the time that this takes, and returns how many bytes it sent, headers too.
func flood(t *testing.T, ns *netns.Namespace, to string) uint64 {
	t.Helper()
	const payload, count = 1000, 500
	netnstest.Do(t, ns, func() error {
		c, err := net.Dial("udp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		for range count {
			if _, err := c.Write(make([]byte, payload)); err != nil && !strings.Contains(err.Error(), "refused") {
				return err
			}
		}
		return nil
	})
	return count * (payload + 8 + 20 + 14)
}

// queue returns the token bucket of a device, or nil.
func queue(t *testing.T, h *netlink.Handle, device netlink.Link) *netlink.Tbf {
	t.Helper()
	all, err := h.QdiscList(device)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		if tbf, ok := q.(*netlink.Tbf); ok {
			return tbf
		}
	}
	return nil
}

func devices(t *testing.T, h *netlink.Handle) (found []netlink.Link) {
	t.Helper()
	all, err := h.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Type() == "ifb" {
			found = append(found, l)
		}
	}
	return found
}

func handle(t *testing.T, ns *netns.Namespace) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(vns.NsHandle(ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// Each direction is bounded by its own rate, and the other by none.
func TestApply(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]rate.Limit{
		"in":  {Port: "p0", Owner: "one", In: resource.MinBitRate},
		"out": {Port: "p0", Owner: "one", Out: resource.MinBitRate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			netnstest.Bridge(t, host, "br0", "10.9.0.1/24")
			limited, free := box(t, host, "p0", "10.9.0.2/24"), box(t, host, "p1", "10.9.0.3/24")
			if err := rate.Apply(host, l); err != nil {
				t.Fatal(err)
			}
			for _, ns := range []*netns.Namespace{limited, host} {
				if err := netnstest.Ping(ns, "10.9.0.3", "", 2*time.Minute); err != nil {
					t.Error(err)
				}
			}
			h := handle(t, host)
			bounded, err := h.LinkByName("p0")
			if err != nil {
				t.Fatal(err)
			}
			sentTo := "10.9.0.2:9"
			from := free
			found := devices(t, h)
			if want := min(1, int(l.Out)); len(found) != want {
				t.Fatalf("devices: got %d, want %d", len(found), want)
			}
			if l.Out != 0 {
				if q := queue(t, h, bounded); q != nil {
					t.Errorf("the other direction: is bounded to %d", q.Rate)
				}
				bounded, from, sentTo = found[0], limited, "10.9.0.3:9"
			}
			sent := flood(t, from, sentTo)
			q := queue(t, h, bounded)
			if q == nil {
				t.Fatalf("device %s has no token bucket", bounded.Attrs().Name)
			}
			if q.Rate*8 != uint64(resource.MinBitRate) {
				t.Errorf("rate: got %d bytes per second", q.Rate)
			}
			s := q.Statistics
			if s.Queue.Drops == 0 || s.Basic.Bytes == 0 || s.Basic.Bytes+uint64(s.Queue.Backlog) >= sent {
				t.Errorf("of %d bytes %d passed, %d wait, and %d packets were dropped; want a part of each",
					sent, s.Basic.Bytes, s.Queue.Backlog, s.Queue.Drops)
			}
		})
	}
}

// What Remove is asked to remove goes, with that of a port which has gone
// before; that of others stays.
func TestRemove(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	netnstest.Bridge(t, host, "br0")
	h := handle(t, host)
	for port, owner := range map[string]string{"p0": "one", "p1": "one", "p2": "two"} {
		box(t, host, port, "10.9.0.9/24")
		if err := rate.Apply(host, rate.Limit{Port: port, Owner: owner, In: 1e9, Out: 1e9}); err != nil {
			t.Fatal(err)
		}
	}
	if err := netnstest.Link(t, host).Delete("p1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rate.Remove(host, "one"); err != nil {
			t.Fatal(err)
		}
		if got := len(devices(t, h)); got != 1 {
			t.Fatalf("devices left: got %d, want 1", got)
		}
	}
	// A port's successor takes its place, whoever it belonged to.
	if err := netnstest.Link(t, host).Delete("p2"); err != nil {
		t.Fatal(err)
	}
	box(t, host, "p2", "10.9.0.9/24")
	if err := rate.Apply(host, rate.Limit{Port: "p2", Owner: "three", Out: resource.MaxBitRate}); err != nil {
		t.Fatal(err)
	}
	if err := rate.Remove(host, "three"); err != nil {
		t.Fatal(err)
	}
	if got := len(devices(t, h)); got != 0 {
		t.Errorf("devices left: got %d", got)
	}
}

func TestApplyWithoutPort(t *testing.T) {
	t.Parallel()
	if err := rate.Apply(netnstest.New(t), rate.Limit{Port: "p0", Owner: "one", In: 1e9}); err == nil {
		t.Error("want an error")
	}
}
