//go:build integration

package link_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
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

// A lookout misses nothing of what comes after it was opened, before its subnets are known and
// before it is watched, and is not bothered by what happens on the network's own interface.
func TestLookout(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "other")
	subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")}
	for name, address := range map[string]string{"before Narrow": "10.9.0.7/32", "before Watch": "fd09::7/128", "never": ""} {
		lookout, err := h.LookOut()
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
		if err := lookout.Narrow(subnets); err != nil {
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
			case <-time.After(10 * time.Second):
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

// What a network that is to be made asks of its host in one go is what is told with
// names elsewhere.
func TestSurvey(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	if got, err := h.Survey(""); err != nil || got.Uplink.Name != "" {
		t.Errorf("survey of an empty host = %+v, %v, want no uplink", got, err)
	}
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24", "fd09::1/64")
	netnstest.Bridge(t, host, "other", "10.8.0.1/24", "fd08::1/64", "10.7.0.1/32")
	routes := []resource.Route{
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.8.0.9")},
		{Destination: netip.MustParsePrefix("10.128.0.0/9"), Gateway: netip.MustParseAddr("10.8.0.9")},
		{Destination: netip.MustParsePrefix("fd88::/16"), Gateway: netip.MustParseAddr("fd08::9")},
	}
	if err := h.Configure("other", nil, routes); err != nil {
		t.Fatal(err)
	}
	got, err := h.Survey("br0")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got.Prefixes, netip.Prefix.Compare)
	got.Prefixes = slices.Compact(got.Prefixes) // that of an address has a route too
	want := []string{"10.7.0.1/32", "10.8.0.0/24", "10.128.0.0/9", "127.0.0.0/8", "::1/128", "fd08::/64", "fd88::/16"}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got.Prefixes)); diff != "" {
		t.Errorf("prefixes (-want +got):\n%s", diff)
	}
	if got.Uplink.Name != "other" {
		t.Errorf("uplink = %+v, want other", got.Uplink)
	}
}

// What one more network asks of its host beside others.
func BenchmarkSurvey(b *testing.B) {
	for _, many := range []int{10, 300} {
		b.Run(fmt.Sprintf("beside %d", many), func(b *testing.B) {
			host := netnstest.New(b)
			for i := range many {
				netnstest.Bridge(b, host, fmt.Sprintf("br%d", i), fmt.Sprintf("10.%d.%d.1/24", 1+i/256, i%256), fmt.Sprintf("fd00:%x::1/64", i))
			}
			h := netnstest.Link(b, host)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Survey(""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
