package usermode

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/networkplugin"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		variant string
		options map[string]string
		want    []string // none: it is accepted
	}{
		"plain":                {VariantNAT, nil, nil},
		"closed":               {VariantInternal, map[string]string{optionHostAccess: "none"}, nil},
		"open":                 {VariantNAT, map[string]string{optionHostAccess: "all"}, nil},
		"all faults at once":   {"routed", map[string]string{"colour": "red", optionHostAccess: "yes"}, []string{`variant "routed": want "nat" or "internal"`, `option "colour": unknown, want host-access`, `option host-access="yes": want none, gateway or all`}},
		"internal with access": {VariantInternal, map[string]string{optionHostAccess: "gateway"}, []string{"an internal network has no gateway"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(networkplugin.Configuration{Variant: tt.variant, Options: tt.options})
			if len(tt.want) == 0 && err != nil {
				t.Error(err)
			}
			for _, want := range tt.want {
				if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestMTU(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		given, want int // 0: refused
		v6          bool
	}{{0, defaultMTU, true}, {1280, 1280, true}, {1279, 0, true}, {68, 68, false}, {67, 0, false}, {65535, 65535, true}, {65536, 0, true}} {
		got, err := mtuOf(tt.given, tt.v6)
		if got != tt.want || (tt.want == 0) != errdefs.IsInvalidArgument(err) {
			t.Errorf("mtu %d, ipv6 %t: %d, %v; want %d", tt.given, tt.v6, got, err, tt.want)
		}
	}
}

func TestFirstAddress(t *testing.T) {
	t.Parallel()
	for subnet, want := range map[string]string{
		"10.9.0.0/24": "10.9.0.1", "10.9.0.2/31": "10.9.0.2", "fd09::/64": "fd09::1", "fd09::4/127": "fd09::4",
	} {
		if got := firstAddress(netip.MustParsePrefix(subnet)); got.String() != want {
			t.Errorf("first address of %s: %v, want %s", subnet, got, want)
		}
	}
	if got := firstAddress(netip.Prefix{}); got.IsValid() {
		t.Errorf("first address of nothing: %v", got)
	}
}

// Two attachments have two sockets, whose names are short.
func TestSocketName(t *testing.T) {
	t.Parallel()
	one, other := socketName("5f9ec7736307959d/0"), socketName("5f9ec7736307959d/1")
	if len(one) != 9 || len(other) != 9 || one == other || strings.ContainsAny(one+other, "/.") {
		t.Errorf("names %q and %q", one, other)
	}
}
