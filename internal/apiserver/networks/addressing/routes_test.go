package addressing

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/resource"
)

func TestRoutesOfANetwork(t *testing.T) {
	t.Parallel()
	to := func(destination string, gateway ...string) resource.Route {
		r := resource.Route{Destination: netip.MustParsePrefix(destination)}
		for _, g := range gateway {
			r.Gateway = netip.MustParseAddr(g)
		}
		return r
	}
	a := resource.Attachment{
		IPv4Address: netip.MustParsePrefix("10.7.0.2/24"), IPv4Gateway: netip.MustParseAddr("10.7.0.1"),
		IPv6Address: netip.MustParsePrefix("fd07::2/64"),
	}
	got := AttachedRoutes([]resource.Route{to("10.9.0.0/16"), to("10.8.0.0/16", "10.7.0.9"), to("fd09::/48"), to("fd08::/48", "fd07::9")}, a)
	want := []resource.Route{to("10.9.0.0/16", "10.7.0.1"), to("10.8.0.0/16", "10.7.0.9"), to("fd08::/48", "fd07::9")}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("of an attachment (-want +got):\n%s", diff)
	}
	if got := AttachedRoutes([]resource.Route{to("10.8.0.0/16", "10.7.0.9")}, resource.Attachment{}); len(got) != 0 {
		t.Errorf("of an attachment without addresses: %v", got)
	}

	n := resource.StoredNetwork{
		Metadata: resource.Metadata{Name: "a"},
		Configuration: resource.NetworkConfiguration{Routes: []resource.Route{
			to("10.9.0.0/16"), to("10.8.0.0/16", "10.1.0.9"), to("fd09::/48"), to("10.7.1.0/24", "10.7.0.9"),
		}},
	}
	err := CheckRoutes(n, resource.NetworkStatus{IPv4Subnet: netip.MustParsePrefix("10.7.0.0/24")})
	lines := []string{
		"network a: route 10.9.0.0/16: the network has no gateway; give the route one, like 10.9.0.0/16=ADDRESS",
		"network a: route 10.8.0.0/16: gateway 10.1.0.9: want an address of the network's subnet 10.7.0.0/24",
		"network a: route fd09::/48: the network has no subnet of that address family",
	}
	var faults []string
	for line := range strings.Lines(err.Error()) {
		line, _, _ = strings.Cut(line, ": invalid")
		faults = append(faults, line)
	}
	if diff := cmp.Diff(lines, faults); diff != "" || !errdefs.IsInvalidArgument(err) {
		t.Errorf("what does not fit (-want +got):\n%s", diff)
	}
}
