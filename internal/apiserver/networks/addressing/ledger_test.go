package addressing_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/resource"
)

// A plugin is told what others use of the families that it chooses a subnet of, and nothing
// where it chooses none: with many networks that is long.
func TestUsed(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")
	other := resource.StoredNetwork{Metadata: resource.Metadata{ID: "a", Name: "a"}, Pinned: resource.PinnedSubnets{IPv4: v4, IPv6: v6}}
	own4, own6 := netip.MustParsePrefix("10.8.0.0/24"), netip.MustParsePrefix("fd08::/64")
	for name, tt := range map[string]struct {
		pinned resource.PinnedSubnets
		c      resource.NetworkConfiguration
		want   []string
	}{
		"chooses both":  {want: []string{v4.String(), v6.String()}},
		"pinned":        {pinned: resource.PinnedSubnets{IPv4: own4, IPv6: own6}},
		"given":         {c: resource.NetworkConfiguration{IPv4Subnet: own4, IPv6Subnet: own6}},
		"chooses one":   {c: resource.NetworkConfiguration{IPv4Subnet: own4}, want: []string{v6.String()}},
		"without a one": {c: resource.NetworkConfiguration{IPv6Disabled: true}, want: []string{v4.String()}},
	} {
		own := resource.StoredNetwork{Metadata: resource.Metadata{ID: "b", Name: "b"}, Pinned: tt.pinned, Configuration: tt.c}
		var got []string
		for _, u := range addressing.NewLedger([]resource.StoredNetwork{other, own}).Used(own) {
			got = append(got, u.GetPrefix())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
