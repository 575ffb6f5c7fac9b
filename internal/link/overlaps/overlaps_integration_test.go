//go:build integration

package overlaps_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/link/overlaps"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// What the host comes to use of a subnet is reported when it comes and when it
// goes, also by a link that goes down; what does not overlap is not.
func TestWatch(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")
	netnstest.Bridge(t, host, "other")
	subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64"), {}}

	ctx, stop := context.WithCancel(t.Context())
	reports, done := make(chan []string, 16), make(chan error, 1)
	go func() {
		done <- overlaps.Watch(ctx, netnstest.Link(t, host), "br0", subnets, func(lines []string) { reports <- lines })
	}()
	expect := func(want ...string) {
		t.Helper()
		for limit := time.After(2 * time.Minute); ; {
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

// A lookout misses nothing of what comes after it was opened, before its subnets are known and
// before it is watched, and is not bothered by what happens on the network's own interface.
func TestLookout(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "other")
	subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")}
	for name, address := range map[string]string{"before Narrow": "10.9.0.7/32", "before Watch": "fd09::7/128", "never": ""} {
		lookout, err := overlaps.LookOut(h, hostnews.Place{})
		if err != nil {
			t.Fatal(err)
		}
		come := func(when string) {
			if when != name {
				return
			}
			if err := h.Configure("other", []netip.Prefix{netip.MustParsePrefix(address)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		come("before Narrow")
		if err := lookout.Narrow(h, subnets); err != nil {
			t.Fatal(err)
		}
		come("before Watch")
		netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")

		ctx, stop := context.WithCancel(t.Context())
		reports, done := make(chan []string, 16), make(chan struct{})
		go func() {
			defer close(done)
			lookout.Watch(ctx, h, "br0", func(lines []string) { reports <- lines })
		}()
		if first := <-reports; first != nil {
			t.Errorf("%s: the first report is %q, want none", name, first)
		}
		if address != "" {
			select {
			case got := <-reports:
				if len(got) != 1 || !strings.Contains(got[0], "address "+address+" of other") {
					t.Errorf("%s: report %q, want one of %s", name, got, address)
				}
			case <-time.After(2 * time.Minute):
				t.Errorf("%s: address %s is not reported", name, address)
			}
		}
		stop()
		<-done
		for len(reports) > 0 {
			t.Errorf("%s: reports %q, too", name, <-reports)
		}
		for _, link := range []string{"br0", "other"} {
			if err := h.Delete(link); err != nil {
				t.Fatal(err)
			}
		}
		netnstest.Bridge(t, host, "other")
	}
}
