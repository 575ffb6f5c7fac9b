package parse_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/resource"
)

var equateNetip = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

// wantError checks an error against lines of its text; none means no error.
func wantError(t *testing.T, err error, lines ...string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(strings.Join(lines, "\n"), got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want   resource.AttachmentConfiguration
		faults []string
	}{
		"web": {want: resource.AttachmentConfiguration{Network: "web"}},
		"web,mac=02-00-00-00-00-0A,mtu=1400,ip=10.0.0.5,ip6=fd00::5,ifname=lan0,hostname=h,alias=a,alias=b,gateway-priority=-3": {
			want: resource.AttachmentConfiguration{
				Network: "web", MACAddress: "02:00:00:00:00:0a", MTU: 1400, IPv4Address: netip.MustParseAddr("10.0.0.5"),
				IPv6Address: netip.MustParseAddr("fd00::5"), InterfaceName: "lan0", Hostname: "h", Aliases: []string{"a", "b"}, GatewayPriority: -3,
			},
		},
		"name=web,mac-address=02:00:00:00:00:0a": {want: resource.AttachmentConfiguration{Network: "web", MACAddress: "02:00:00:00:00:0a"}},
		"name=":                                  {faults: []string{`network "": want NAME[,key=value...]`}},
		"container:db":                           {faults: []string{`network "container:db": a container has interfaces of its own, want a network that both are on`}},
		"web,gw-priority=9":                      {want: resource.AttachmentConfiguration{Network: "web", GatewayPriority: 9}},
		"":                                       {faults: []string{`network "": want NAME[,key=value...]`}},
		"mac=02:00:00:00:00:01":                  {faults: []string{`network "mac=02:00:00:00:00:01": want NAME[,key=value...]`}},
		"none,mtu=1400":                          {faults: []string{`network "none": takes no keys`}},
		"a,": {faults: []string{
			`network a: "": want key=value, key one of mac, mtu, ip, ip6, ifname, hostname, alias, gateway-priority, sysctl, rate-in, rate-out`,
		}},
		"a,gw-priority=1,gateway-priority=2": {faults: []string{`network a: gateway-priority: given twice`}},
		"a,mtu=1280,mtu=1400":                {faults: []string{`network a: mtu: given twice`}},
		"a,mac=01:00:00:00:00:01,mtu=67,ip=10.0.0.5/24,ip6=::ffff:1.2.3.4,gateway-priority=x,nope=1": {faults: []string{
			`network a: mac address "01:00:00:00:00:01": is a multicast address, want an even first octet`,
			`network a: mtu "67": want a number of bytes from 68 to 65535`,
			`network a: ip "10.0.0.5/24": want an IPv4 address without prefix length, like 10.0.0.5`,
			`network a: ip6 "::ffff:1.2.3.4": want an IPv6 address without prefix length and zone, like fd00::5`,
			`network a: gateway-priority "x": want a whole number of -2147483648 to 2147483647, the highest gets the default route`,
			`network a: unknown key "nope": want one of mac, mtu, ip, ip6, ifname, hostname, alias, gateway-priority, sysctl, rate-in, rate-out`,
		}},
		"a,sysctl=net.ipv4.conf.IFNAME.rp_filter=2,sysctl=ipv6.conf.accept_ra=0,sysctl=net.ipv6.neigh.ucast_solicit=5": {
			want: resource.AttachmentConfiguration{Network: "a", Sysctls: map[string]string{
				"net.ipv4.conf.IFNAME.rp_filter": "2", "net.ipv6.conf.IFNAME.accept_ra": "0", "net.ipv6.neigh.IFNAME.ucast_solicit": "5",
			}},
		},
		"a,sysctl=x,sysctl=net.ipv4.conf.eth0.rp_filter=1,sysctl=ipv4.conf.rp_filter=1,sysctl=net.ipv4.conf.IFNAME.rp_filter=2": {faults: []string{
			`network a: sysctl "x": want KEY=VALUE, like net.ipv4.conf.IFNAME.rp_filter=1`,
			`network a: sysctl "net.ipv4.conf.eth0.rp_filter": want one of the interface: net.ipv4.conf.IFNAME.KEY, or ipv6 or mpls for ipv4, or neigh for conf`,
			`network a: sysctl net.ipv4.conf.IFNAME.rp_filter: given twice`,
		}},
		"a,rate-in=100mbit,rate-out=1.5G": {want: resource.AttachmentConfiguration{Network: "a", RateIn: 100e6, RateOut: 1.5e9}},
		"a,rate-in=10mbps,rate-out=64kbit,rate-out=1M": {faults: []string{
			`network a: rate-in "10mbps": want bits per second as a number with kbit, mbit or gbit, like 100mbit`,
			`network a: rate-out "64kbit": want 128kbit to 1000gbit`,
			`network a: rate-out: given twice`,
		}},
		"a,ip6=fe80::1%eth0": {faults: []string{
			`network a: ip6 "fe80::1%eth0": want an IPv6 address without prefix length and zone, like fd00::5`,
		}},
	}
	for in, tt := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := parse.Network(in)
			wantError(t, err, tt.faults...)
			if diff := cmp.Diff(tt.want, got, equateNetip); err == nil && diff != "" {
				t.Errorf("network (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNetworksNoneStandsAlone(t *testing.T) {
	t.Parallel()
	if got, none, err := parse.Networks([]string{"none"}); len(got) > 0 || !none || err != nil {
		t.Errorf("none: got %v, %t, %v", got, none, err)
	}
	_, _, err := parse.Networks([]string{"a", "none"})
	wantError(t, err, `network "none": means no network at all, want it alone`)
	if got, none, err := parse.Networks([]string{"b", "a"}); len(got) != 2 || got[0].Network != "b" || none || err != nil {
		t.Errorf("two: got %v, %t, %v, want them in their order", got, none, err)
	}
}

func TestSubnet(t *testing.T) {
	t.Parallel()
	for in, fault := range map[string]string{
		"10.0.0.0/24":        "",
		"10.0.0.1/24":        `subnet "10.0.0.1/24": has host bits, want 10.0.0.0/24`,
		"10.0.0.0":           `subnet "10.0.0.0": want an IPv4 subnet, like 10.1.0.0/24`,
		"10.0.0.0/33":        `subnet "10.0.0.0/33": want an IPv4 subnet, like 10.1.0.0/24`,
		"fd00::/64":          `subnet "fd00::/64": want an IPv4 subnet, like 10.1.0.0/24`,
		"::ffff:10.0.0.0/96": `subnet "::ffff:10.0.0.0/96": want an IPv4 subnet, like 10.1.0.0/24`,
	} {
		_, err := parse.IPv4Subnet(in)
		if fault == "" {
			wantError(t, err)
		} else {
			wantError(t, err, fault)
		}
	}
	_, err := parse.IPv6Subnet("fd00::1/64")
	wantError(t, err, `subnet "fd00::1/64": has host bits, want fd00::/64`)
	got, err := parse.IPv6Subnet("fd00:0:0::/64")
	wantError(t, err)
	if got != netip.MustParsePrefix("fd00::/64") {
		t.Errorf("got %v", got)
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add("web,mac=02:00:00:00:00:0a,mtu=1400,ip=10.0.0.5,ip6=fd00::5,ifname=lan0,alias=a,gateway-priority=-3")
	f.Add("none")
	f.Add("web,sysctl=net.ipv4.conf.IFNAME.rp_filter=1,sysctl=ipv6.conf.accept_ra=2")
	f.Add("a,,=,b=")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := parse.Network(in)
		if err != nil {
			return
		}
		if got.Network == "" || strings.ContainsAny(got.Network, ",=") {
			t.Errorf("%q: name %q", in, got.Network)
		}
		if a := got.IPv4Address; a.IsValid() && !a.Is4() {
			t.Errorf("%q: IPv4 address %v", in, a)
		}
		if a := got.IPv6Address; a.IsValid() && (!a.Is6() || a.Zone() != "") {
			t.Errorf("%q: IPv6 address %v", in, a)
		}
		for key, value := range got.Sysctls {
			if err := resource.ValidateSysctl(key, value); err != nil {
				t.Errorf("%q: %v", in, err)
			}
		}
		if got.MTU != 0 && (got.MTU < resource.MinMTU || got.MTU > resource.MaxMTU) {
			t.Errorf("%q: MTU %d", in, got.MTU)
		}
	})
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	got, err := parse.Routes([]string{"10.9.0.0/16", "10.8.0.0/16=10.7.0.9", "fd09::/48=fd07::9"})
	want := []resource.Route{
		{Destination: netip.MustParsePrefix("10.9.0.0/16")},
		{Destination: netip.MustParsePrefix("10.8.0.0/16"), Gateway: netip.MustParseAddr("10.7.0.9")},
		{Destination: netip.MustParsePrefix("fd09::/48"), Gateway: netip.MustParseAddr("fd07::9")},
	}
	wantError(t, err)
	if diff := cmp.Diff(want, got, equateNetip); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	_, err = parse.Routes([]string{"10.9.0.0", "10.9.0.0/16=", "10.9.0.0/16=x", "10.7.0.0/16"})
	wantError(t, err,
		`route "10.9.0.0": want DESTINATION[=GATEWAY], like 10.9.0.0/16 or 10.9.0.0/16=10.7.0.9`,
		`route "10.9.0.0/16=": want DESTINATION[=GATEWAY], like 10.9.0.0/16 or 10.9.0.0/16=10.7.0.9`,
		`route "10.9.0.0/16=x": want DESTINATION[=GATEWAY], like 10.9.0.0/16 or 10.9.0.0/16=10.7.0.9`)
}
