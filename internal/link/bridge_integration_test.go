//go:build integration

package link_test

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/subscription"
)

// TestDeleteBridge: its IPv4 addresses go before it, so that nothing is left for the kernel to look
// for among all routes. That they are not there is no failure.
func TestDeleteBridge(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	addresses := []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd09::1/64")}
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")
	bridge, err := h.Interface("br0")
	if err != nil {
		t.Fatal(err)
	}
	news, err := subscription.Open(host, unix.NETLINK_ROUTE, rtnl.GroupsOfPrefixes()...)
	if err != nil {
		t.Fatal(err)
	}
	defer news.Close()
	for range 2 {
		if err := h.DeleteBridge(bridge.Index, addresses); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Interface("br0"); err == nil {
			t.Error("the bridge is there")
		}
	}
	told := false // as the kernel does not of what it looks for
	for netnstest.Pending(news) {
		messages, err := news.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			p, _ := rtnl.PrefixOf(m)
			told = told || m.Header.Type == unix.RTM_DELROUTE && p == addresses[0].Masked()
		}
	}
	if !told {
		t.Error("nothing is told of the end of the IPv4 route")
	}
}

// TestBridgeIsNoRouter: with a port it has five IPv6 routes on a host that forwards, where the kernel
// would have seven for a router. One that is a router stops being one.
func TestBridgeIsNoRouter(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	netnstest.Do(t, host, func() error { return sysctl.EnableForwarding(true) })
	h := netnstest.Link(t, host)
	news, err := subscription.Open(host, unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		t.Fatal(err)
	}
	defer news.Close()
	netnstest.Bridge(t, host, "br0", "fd09::1/64")
	box(t, h, "br0", "p0", "02:00:00:00:00:0a", "10.9.0.2/24", "fd09::2/64")
	for linkLocal := false; !linkLocal; { // the last that a carrier brings
		messages, err := news.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			p, _ := rtnl.PrefixOf(m)
			linkLocal = linkLocal || p.Addr().IsLinkLocalUnicast()
		}
	}
	if _, err := h.Interface("br0"); err != nil { // when the kernel has made its routes, under the same lock
		t.Fatal(err)
	}
	want := []string{"fd09::/64", "fe80::/64", "local fd09::1", "local fe80", "multicast ff00::/8"}
	isNone := func(when string) {
		t.Helper()
		netnstest.Do(t, host, func() error {
			out, err := exec.Command("ip", "-6", "route", "show", "dev", "br0", "table", "all").CombinedOutput()
			have := slices.Sorted(strings.Lines(string(out)))
			if err == nil && !slices.EqualFunc(have, want, strings.HasPrefix) {
				t.Errorf("%s: routes %q, want %q", when, have, want)
			}
			for _, key := range []string{"forwarding", "accept_redirects"} {
				if got := sysctl.Get("ipv6/conf/br0/" + key); got != "0" {
					t.Errorf("%s: %s is %q, want 0", when, key, got)
				}
			}
			return err
		})
	}
	isNone("new")
	netnstest.Do(t, host, func() error { // as whoever turns it on again does for all interfaces
		return sysctl.Set("ipv6/conf/br0/forwarding", "1")
	})
	netnstest.Bridge(t, host, "br0", "fd09::1/64")
	isNone("adopted")
}
