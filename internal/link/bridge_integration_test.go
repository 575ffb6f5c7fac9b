//go:build integration

package link_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
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
