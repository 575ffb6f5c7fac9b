package bridge

import (
	"net/netip"
	"testing"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	port := networkplugin.Port{Attachment: resource.Attachment{
		IPv4Address: netip.MustParsePrefix("10.9.0.2/24"), IPv6Address: netip.MustParsePrefix("fd09::2/64"),
	}}
	far := packet{destination: netip.MustParseAddr("198.41.0.4"), route: inspect.PacketRoute{Interface: "eth0"}}
	own := packet{destination: netip.MustParseAddr("10.9.0.1"), bridge: true, route: inspect.PacketRoute{Local: true}}
	host := packet{destination: netip.MustParseAddr("192.0.2.2"), route: inspect.PacketRoute{Local: true}}
	for name, tt := range map[string]struct {
		reach  firewall.Reach
		access firewall.HostAccess
		to     packet
		want   string
	}{
		"far":                       {to: far, want: "accepted, under the host's address"},
		"far, internal":             {reach: firewall.Internal, to: far, want: "dropped"},
		"neighbour":                 {to: packet{destination: netip.MustParseAddr("10.9.0.7")}, want: "accepted"},
		"neighbour, ipv6, internal": {reach: firewall.Internal, to: packet{destination: netip.MustParseAddr("fd09::7")}, want: "accepted"},
		"no route":                  {to: packet{destination: far.destination, noRoute: true}, want: "dropped"},
		"another network":           {to: packet{destination: netip.MustParseAddr("10.8.0.2"), route: inspect.PacketRoute{Interface: "pb-0123456789ab"}}, want: "dropped"},
		"bridge":                    {to: own, want: "dropped, but for pings"},
		"bridge, opened":            {access: firewall.HostGateway, to: own, want: "accepted"},
		"host":                      {to: host, want: "dropped"},
		"host, bridge opened":       {access: firewall.HostGateway, to: host, want: "dropped"},
		"host, opened":              {access: firewall.HostAll, to: host, want: "accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &Network{reach: tt.reach, access: tt.access, short: newShortcut(nil, "", true, nil)}
			if got := n.verdict(port, tt.to); got.Answer != tt.want || got.Why == "" {
				t.Errorf("got %+v, want %s with a reason", got, tt.want)
			}
		})
	}
}
