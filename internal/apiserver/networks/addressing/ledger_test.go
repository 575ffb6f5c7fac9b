package addressing_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/internal/ipam"
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
		for _, u := range addressing.NewLedger([]resource.StoredNetwork{other, own}, addressing.Pools{}).Configuration(own, addressing.All).GetUsedPrefixes() {
			got = append(got, u.GetPrefix())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestNear: of many networks a plugin is told of few, beside which it chooses what it would beside
// all; where nearly all of a pool is in use, of all.
func TestNear(t *testing.T) {
	t.Parallel()
	pools4 := []resource.SubnetPool{{Base: netip.MustParsePrefix("10.64.0.0/14"), Size: 24}}
	for used, told := range map[int]int{1000: 2000, 100: 128, 40: 80} {
		var stored []resource.StoredNetwork
		for i := range used {
			stored = append(stored, resource.StoredNetwork{
				Metadata: resource.Metadata{ID: fmt.Sprint("other", i), Name: fmt.Sprint("n", i)},
				Pinned: resource.PinnedSubnets{
					IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64 + byte(i>>8), byte(i), 0}), 24),
					IPv6: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, byte(i >> 8), byte(i)}), 64),
				},
			})
		}
		ledger, most := addressing.NewLedger(stored, addressing.Pools{IPv4: pools4}), 0
		for i := range 50 {
			own := resource.StoredNetwork{Metadata: resource.Metadata{ID: fmt.Sprint("own", i), Name: "own"}}
			near := chosen(t, own.ID, pools4, ledger.Configuration(own, addressing.Near).GetUsedPrefixes())
			if all := chosen(t, own.ID, pools4, ledger.Configuration(own, addressing.All).GetUsedPrefixes()); near != all {
				t.Errorf("beside %d: chooses %v, and told of all %v", used, near, all)
			}
			most = max(most, len(ledger.Configuration(own, addressing.Near).GetUsedPrefixes()))
		}
		if most > told {
			t.Errorf("beside %d: a plugin is told of %d prefixes, want at most %d", used, most, told)
		}
	}
}

// chosen is what a network chooses beside what it is told of.
func chosen(t *testing.T, id string, pools4 []resource.SubnetPool, told []*pluginv1.NetworkPrefix) resource.PinnedSubnets {
	t.Helper()
	beside := func(yield func(netip.Prefix) bool) {
		for _, p := range told {
			if !yield(netip.MustParsePrefix(p.GetPrefix())) {
				return
			}
		}
	}
	v4, err4 := ipam.ChooseSubnet4(id, pools4, beside)
	v6, err6 := ipam.ChooseSubnet6(id, nil, beside)
	if err := errors.Join(err4, err6); err != nil {
		t.Fatal(err)
	}
	return resource.PinnedSubnets{IPv4: v4, IPv6: v6}
}
