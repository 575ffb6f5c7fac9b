package hostinterface

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/networkplugin"
)

func TestCompleteWithGateway(t *testing.T) {
	t.Parallel()
	subnet := netip.MustParsePrefix("192.0.2.0/24")
	m := Medium{Role: "parent", Name: "eth0", MTU: 1500}
	for value, fine := range map[string]bool{"192.0.2.1": true, "192.0.3.1": false, "router": false, "": false, "fd00::1": false} {
		r := networkplugin.Realization{IPv4Subnet: subnet}
		err := m.Complete(&r, networkplugin.Configuration{Options: map[string]string{OptionGateway4: value}})
		if fine != (err == nil) || fine != r.IPv4Gateway.IsValid() || !fine && !errdefs.IsInvalidArgument(err) {
			t.Errorf("gateway %q: %v, %v", value, r.IPv4Gateway, err)
		}
	}
	r := networkplugin.Realization{IPv4Subnet: subnet}
	if err := m.Complete(&r, networkplugin.Configuration{}); err != nil || r.IPv4Gateway.IsValid() {
		t.Errorf("no gateway: %v, %v", r.IPv4Gateway, err)
	}
	err := m.Complete(&r, networkplugin.Configuration{Options: map[string]string{OptionGateway6: "fd00::1"}})
	if want := `option gateway-v6="fd00::1": the network has no subnet of that family, give one: invalid argument`; err == nil || err.Error() != want {
		t.Errorf("gateway without a subnet: %v, want %s", err, want)
	}
}

func TestCompleteWithMTU(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		given, medium int
		v6            bool
		want          int
		text          string
	}{
		{0, 1500, true, 1500, ""},
		{1280, 1500, true, 1280, ""},
		{1500, 1500, true, 1500, ""},
		{576, 1500, false, 576, ""},
		{1279, 1500, false, 1279, ""},
		{1279, 1500, true, 0, "mtu 1279: want 1280 to 1500, the mtu of device eth1: invalid argument"},
		{1501, 1500, false, 0, "mtu 1501: want 68 to 1500, the mtu of device eth1: invalid argument"},
		{0, 1279, true, 0, "device eth1: has mtu 1279, want at least 1280: failed precondition"},
	} {
		var r networkplugin.Realization
		if tt.v6 {
			r.IPv6Subnet = netip.MustParsePrefix("fd00::/64")
		}
		err := Medium{Role: "device", Name: "eth1", MTU: tt.medium}.Complete(&r, networkplugin.Configuration{MTU: tt.given})
		if got := strings.TrimPrefix(fmt.Sprint(err), "<nil>"); r.MTU != tt.want || got != tt.text {
			t.Errorf("mtu %d of %d, ipv6 %t: %d, %q; want %d, %q", tt.given, tt.medium, tt.v6, r.MTU, got, tt.want, tt.text)
		}
	}
}

// All faults are told at once.
func TestCompleteReportsAll(t *testing.T) {
	t.Parallel()
	r := networkplugin.Realization{IPv4Subnet: netip.MustParsePrefix("192.0.2.0/24")}
	err := Medium{Role: "parent", Name: "eth0", MTU: 1500}.Complete(&r, networkplugin.Configuration{
		MTU: 9000, Options: map[string]string{OptionGateway4: "router", OptionGateway6: "fd00::1"},
	})
	for _, want := range []string{"mtu 9000", "option gateway=", "option gateway-v6="} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error = %v, want %s in it", err, want)
		}
	}
}
