package macvlan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/networkplugin"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(networkplugin.Configuration{Variant: "vepa", Options: map[string]string{"colour": "red"}})
	for _, want := range []string{`variant "vepa": want "bridge" or "private"`, `option "colour": unknown, want gateway, gateway-v6, parent`} {
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		parent inspect.Interface
		want   string
	}{
		"plain":       {inspect.Interface{Name: "eth0"}, ""},
		"bridge":      {inspect.Interface{Name: "br0", Kind: "bridge"}, ""},
		"loopback":    {inspect.Interface{Name: "lo", Loopback: true}, "option parent=lo: the interface is the loopback interface"},
		"macvlan":     {inspect.Interface{Name: "m0", Kind: "macvlan"}, "option parent=m0: the interface is itself a macvlan"},
		"bridge port": {inspect.Interface{Name: "eth1", MasterIndex: 7}, "option parent=eth1: the interface is a port of a bridge"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := fit(tt.parent)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOccupied(t *testing.T) {
	t.Parallel()
	lan, other := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")
	third := netip.MustParsePrefix("203.0.113.0/24")
	uses := []inspect.Use{
		{Interface: "eth0", Prefix: lan, Address: netip.MustParseAddr("192.0.2.5")},
		{Interface: "eth1", Prefix: other, Address: netip.MustParseAddr("198.51.100.5")},
		{Interface: "eth1", Prefix: third},
	}
	equal := cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})
	given := networkplugin.Configuration{IPv4Subnet: lan}
	if diff := cmp.Diff([]netip.Prefix{other, third}, occupied("eth0", uses, given), equal); diff != "" {
		t.Errorf("the LAN's own subnet given (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]netip.Prefix{lan, other, third}, occupied("eth0", uses, networkplugin.Configuration{}), equal); diff != "" {
		t.Errorf("none given (-want +got):\n%s", diff)
	}
	r := networkplugin.Realization{IPv4Subnet: lan, IPv4Gateway: netip.MustParseAddr("192.0.2.1")}
	if diff := cmp.Diff([]netip.Addr{netip.MustParseAddr("192.0.2.5")}, reserved(uses, r), equal); diff != "" {
		t.Errorf("reserved (-want +got):\n%s", diff)
	}
}
