//go:build integration

package link_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/routing"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// far is an address that each router has, on networks of its own.
const (
	farIPv4 = "203.0.113.9"
	farIPv6 = "2001:db8::9"
)

// homes makes a box with one interface on each of two networks, whose
// routers do not know one another. In the box, reverse path filtering is strict.
func homes(t *testing.T) (box *netns.Namespace, routers []*netns.Namespace, plans []routing.Change) {
	box = netnstest.New(t)
	netnstest.Do(t, box, func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0) })
	for n := 1; n <= 2; n++ {
		router := netnstest.New(t)
		name, v4, v6 := fmt.Sprintf("eth%d", n), fmt.Sprintf("10.%d.0", n), fmt.Sprintf("fd0%d:", n)
		addresses := []string{v4 + ".2/24", v6 + ":2/64"}
		netnstest.Pair(t, netnstest.End{Namespace: router, Name: "lan0", Addresses: []string{v4 + ".1/24", v6 + ":1/64", farIPv4 + "/32", farIPv6 + "/128"}},
			netnstest.End{Namespace: box, Name: name, Addresses: addresses})
		var r routing.Routing
		for _, a := range addresses {
			prefix := netip.MustParsePrefix(a)
			r.Addresses = append(r.Addresses, prefix)
			r.Own = append(r.Own, resource.Route{Destination: prefix.Masked()})
		}
		r.Own = append(r.Own, netnstest.Default(v4+".1"), netnstest.Default(v6+":1"))
		if n == 1 {
			r.Main = []resource.Route{netnstest.Default(v4 + ".1"), netnstest.Default(v6 + ":1")}
		}
		routers, plans = append(routers, router), append(plans, routing.Change{Interface: name, To: r})
	}
	return box, routers, plans
}

// rules returns the rules and routes that someone has made in a namespace.
func rules(t *testing.T, ns *netns.Namespace) string {
	t.Helper()
	h, err := netlink.NewHandleAt(vns.NsHandle(ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var lines []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := h.RuleList(family)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Table > 255 {
				lines = append(lines, r.String())
			}
		}
		routes, err := h.RouteListFiltered(family, &netlink.Route{Protocol: 4}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			lines = append(lines, r.String())
		}
	}
	return strings.Join(lines, "\n")
}

func TestAnswersLeaveWhereTheQuestionsCameIn(t *testing.T) {
	t.Parallel()
	box, routers, plans := homes(t)
	h := netnstest.Link(t, box)
	for range 2 { // it may be done again
		if err := h.Reroute(plans...); err != nil {
			t.Fatal(err)
		}
	}
	if made := rules(t, box); strings.Count(made, "\n") != 17 {
		t.Errorf("want 8 rules and 10 routes:\n%s", made)
	}
	// The kernel's own words for it.
	first := inspect.PacketRoute{
		Interface: "eth1", Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.1.0.1"),
		Source: netip.MustParseAddr("10.1.0.2"), Table: "main", Rule: "32766: from all lookup main",
	}
	second := inspect.PacketRoute{
		Interface: "eth2", Destination: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fd02::1"),
		Source: netip.MustParseAddr("fd02::2"), Table: "1003", Rule: "1000: from fd02::2 lookup 1003",
	}
	for want, packet := range map[inspect.PacketRoute][]netip.Addr{
		first: {netip.MustParseAddr(farIPv4), {}}, second: {netip.MustParseAddr(farIPv6), netip.MustParseAddr("fd02::2")},
	} {
		if got, err := h.RouteTo(packet[0], packet[1]); err != nil || got != want {
			t.Errorf("route to %v: %+v, %v\nwant %+v", packet, got, err, want)
		}
	}
	if got, err := h.RouteTo(netip.MustParseAddr("fd01::2"), netip.Addr{}); err != nil || !got.Local {
		t.Errorf("route to itself: %+v, %v", got, err)
	}
	for n, router := range routers {
		for target, source := range map[string]string{fmt.Sprintf("10.%d.0.2", n+1): farIPv4, fmt.Sprintf("fd0%d::2", n+1): farIPv6} {
			if err := netnstest.Ping(router, target, source, soon); err != nil {
				t.Errorf("router %d: %v", n+1, err)
			}
		}
		netnstest.Listen(t, router, fmt.Sprintf("%s:%d", farIPv4, 80+n))
	}
	if seen, err := netnstest.Dial(box, farIPv4+":80", soon); err != nil || seen != "10.1.0.2" {
		t.Errorf("by the default route: seen as %q, %v", seen, err)
	}

	// The default route moves to the other; the tables stay.
	moved := []routing.Change{{Interface: "eth1", From: plans[0].To, To: plans[0].To}, {Interface: "eth2", From: plans[1].To, To: plans[1].To}}
	moved[0].To.Main, moved[1].To.Main = nil, []resource.Route{netnstest.Default("10.2.0.1"), netnstest.Default("fd02::1")}
	if err := h.Reroute(moved...); err != nil {
		t.Fatal(err)
	}
	if seen, err := netnstest.Dial(box, farIPv4+":81", soon); err != nil || seen != "10.2.0.2" {
		t.Errorf("by the moved default route: seen as %q, %v", seen, err)
	}
	if err := netnstest.Ping(routers[0], "10.1.0.2", farIPv4, soon); err != nil {
		t.Errorf("after the move: %v", err)
	}

	// All is taken back, twice.
	for range 2 {
		err := h.Reroute(routing.Change{Interface: "eth1", From: moved[0].To}, routing.Change{Interface: "eth2", From: moved[1].To})
		if err != nil {
			t.Fatal(err)
		}
	}
	if left := rules(t, box); left != "" {
		t.Errorf("left over:\n%s", left)
	}
	if err := netnstest.Ping(routers[1], "10.2.0.2", farIPv4, 200*time.Millisecond); err == nil {
		t.Error("without the tables: an answer came, so this test shows nothing")
	}
}

// A network without gateway leads nowhere but to its own subnet.
func TestOwnTableWithoutDefaultRoute(t *testing.T) {
	t.Parallel()
	box, routers, plans := homes(t)
	plans[1].To.Own = plans[1].To.Own[:2]
	if err := netnstest.Link(t, box).Reroute(plans...); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{farIPv4, farIPv6} {
		if err := netnstest.Ping(box, target, "", soon); err != nil {
			t.Errorf("from any address: %v", err)
		}
	}
	for target, source := range map[string]string{farIPv4: "10.2.0.2", farIPv6: "fd02::2"} {
		if err := netnstest.Ping(box, target, source, soon); err == nil || strings.Contains(err.Error(), "no answer") {
			t.Errorf("from %s: %v, want it to be refused at once", source, err)
		}
	}
	if err := netnstest.Ping(routers[1], "10.2.0.2", "10.2.0.1", soon); err != nil {
		t.Errorf("within the subnet: %v", err)
	}
	for _, target := range []string{farIPv4, farIPv6} {
		source := netip.MustParseAddr("10.2.0.2")
		if strings.Contains(target, ":") {
			source = netip.MustParseAddr("fd02::2")
		}
		if got, err := netnstest.Link(t, box).RouteTo(netip.MustParseAddr(target), source); !errdefs.IsNotFound(err) {
			t.Errorf("route to %s from %v: %+v, %v, want none", target, source, got, err)
		}
	}
	netnstest.Do(t, box, func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth2/arp_ignore")
		if err == nil && strings.TrimSpace(string(b)) != "1" {
			t.Errorf("arp_ignore: %q", b)
		}
		return err
	})
}
