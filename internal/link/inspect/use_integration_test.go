//go:build integration

package inspect_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

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
	if uplink, err := h.DefaultRouteInterface(); err != nil || uplink.Name != "other" {
		t.Errorf("interface of the default route = %+v, %v, want other", uplink, err)
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
