//go:build integration

package link_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// What the host comes to use of a subnet is reported when it comes and when it
// goes, also by a link that goes down; what does not overlap is not.
func TestWatchOverlaps(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")
	netnstest.Bridge(t, host, "other")
	subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64"), {}}

	ctx, stop := context.WithCancel(t.Context())
	reports, done := make(chan []string, 16), make(chan error, 1)
	go func() {
		done <- netnstest.Link(t, host).WatchOverlaps(ctx, "br0", subnets, func(lines []string) { reports <- lines })
	}()
	expect := func(want ...string) {
		t.Helper()
		for limit := time.After(10 * time.Second); ; {
			select {
			case got := <-reports:
				if cmp.Equal(got, want) {
					return
				}
			case <-limit:
				t.Fatalf("no report %q", want)
			}
		}
	}
	prefixes := func(all ...string) (out []netip.Prefix) {
		for _, p := range all {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	expect()
	if err := h.Configure("other", prefixes("10.8.0.1/24", "fd08::1/64"), nil); err != nil { // in nobody's way
		t.Fatal(err)
	}
	wide := resource.Route{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("10.8.0.9")}
	if err := h.Configure("other", nil, []resource.Route{wide}); err != nil {
		t.Fatal(err)
	}
	const byRoute = "subnet 10.9.0.0/24: the host has come to use it too: route 10.0.0.0/8 by other"
	expect(byRoute)
	if err := h.Configure("other", prefixes("fd09::7/96"), nil); err != nil {
		t.Fatal(err)
	}
	const byAddress = "subnet fd09::/64: the host has come to use it too: address fd09::7/96 of other"
	expect(byRoute, byAddress)
	if err := h.SetDown("other"); err != nil { // takes IPv4 routes without a word, and IPv6 addresses
		t.Fatal(err)
	}
	expect()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
