package bridge

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		configuration networkplugin.Configuration
		want          []string // in the error; none: accepted
	}{
		"nat":      {networkplugin.Configuration{Variant: "nat"}, nil},
		"internal": {networkplugin.Configuration{Variant: "internal", Options: map[string]string{"ipv6": "off"}}, nil},
		"variant and option at once": {
			networkplugin.Configuration{Variant: "routed", Options: map[string]string{"colour": "red"}},
			[]string{`variant "routed": want "nat" or "internal"`, `option "colour": unknown, want fast-path, host-access, ipv4, ipv6`},
		},
		"neither on nor off": {
			networkplugin.Configuration{Variant: "nat", Options: map[string]string{"ipv4": "yes"}},
			[]string{`option ipv4="yes": want on or off`},
		},
		"no family": {
			networkplugin.Configuration{Variant: "nat", Options: map[string]string{"ipv4": "off", "ipv6": "off"}},
			[]string{"both are off"},
		},
		"subnet of a family that is off": {
			networkplugin.Configuration{
				Variant: "nat", Options: map[string]string{"ipv6": "off"}, IPv6Subnet: netip.MustParsePrefix("fd09::/64"),
			},
			[]string{"subnet fd09::/64: ipv6 is off"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.configuration.ID = "0123456789abcdef"
			_, err := New(tt.configuration)
			if len(tt.want) == 0 && err != nil {
				t.Fatal(err)
			}
			if len(tt.want) > 0 && !errdefs.IsInvalidArgument(err) {
				t.Fatalf("error = %v, want an invalid argument", err)
			}
			for _, text := range tt.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error = %v, want %q in it", err, text)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	n, err := newIn(nil, networkplugin.Configuration{ID: "0123456789abcdef", Variant: VariantNAT})
	if err != nil {
		t.Fatal(err)
	}
	const longest = 15
	a, b := n.portName("c1/0"), n.portName("c1/1")
	if n.bridge != "pb-0123456789ab" || len(a) != longest || !strings.HasPrefix(a, "pbp") {
		t.Errorf("bridge %q, port %q", n.bridge, a)
	}
	if a == b || a != n.portName("c1/0") {
		t.Errorf("ports %q and %q: want them apart and stable", a, b)
	}
	plan, err := n.Plan(networkplugin.Port{Key: "c1/0"}, nil)
	if diff := cmp.Diff(resource.BridgePortParameters{Bridge: n.bridge, Port: a}, plan); err != nil || diff != "" {
		t.Errorf("plan: %v (-want +got):\n%s", err, diff)
	}
	if _, err := n.Plan(networkplugin.Port{Key: "c1/0"}, map[string]string{"x": "1"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("unknown option: %v", err)
	}
}

func TestFirstAddress(t *testing.T) {
	t.Parallel()
	for subnet, want := range map[string]string{
		"10.9.0.0/24": "10.9.0.1", "10.9.0.0/30": "10.9.0.1", "10.9.0.2/31": "10.9.0.2", "fd09::/64": "fd09::1", "fd09::2/127": "fd09::2",
	} {
		if got := firstAddress(netip.MustParsePrefix(subnet)); got.String() != want {
			t.Errorf("%s: %s, want %s", subnet, got, want)
		}
	}
}

func TestSpecAndReach(t *testing.T) {
	t.Parallel()
	r := networkplugin.Realization{
		IPv4Subnet: netip.MustParsePrefix("10.9.0.0/24"), IPv4Gateway: netip.MustParseAddr("10.9.0.1"), MTU: 1400,
	}
	for variant, want := range map[string]networkplugin.Realization{
		VariantNAT:      r,
		VariantInternal: {IPv4Subnet: r.IPv4Subnet, Reserved: []netip.Addr{r.IPv4Gateway}, MTU: 1400},
	} {
		n, err := newIn(nil, networkplugin.Configuration{ID: "0123456789abcdef", Variant: variant})
		if err != nil {
			t.Fatal(err)
		}
		wantSpec := link.BridgeSpec{
			Name: n.bridge, Alias: "patchbay:0123456789abcdef", MAC: n.mac(), MTU: 1400,
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")},
		}
		comparable := cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})
		if diff := cmp.Diff(wantSpec, n.specOf(r), comparable); diff != "" {
			t.Errorf("%s: bridge (-want +got):\n%s", variant, diff)
		}
		if diff := cmp.Diff(want, n.reachable(r), comparable); diff != "" {
			t.Errorf("%s: realization (-want +got):\n%s", variant, diff)
		}
	}
}
