package strategy_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/sandbox/strategy"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

func allocated(name, data string) resource.AllocatedAttachment {
	return resource.AllocatedAttachment{
		Attachment: resource.Attachment{
			Network:     "a",
			IPv4Address: netip.MustParsePrefix("10.0.0.2/24"),
			IPv4Gateway: netip.MustParseAddr("10.0.0.1"),
			IPv6Address: netip.MustParsePrefix("fd00::2/64"),
			IPv6Gateway: netip.MustParseAddr("fd00::1"),
			MACAddress:  "02:00:00:00:00:02",
			MTU:         1400,
		},
		Plugin:         resource.PluginInfo{Plugin: "p", Variant: "v"},
		Strategy:       name,
		AdditionalData: []byte(data),
	}
}

func TestInterface(t *testing.T) {
	t.Parallel()
	bridge := wiring.BridgePort{Bridge: "br0", Port: "p0"}
	const bridgeData = `{"bridge":"br0","port":"p0"}`
	base := func(link wiring.Link, name string) wiring.Interface {
		a := allocated("", "").Attachment
		return wiring.Interface{
			Name: name, Link: link, MAC: a.MACAddress, MTU: 1400,
			Addresses: []netip.Prefix{a.IPv4Address, a.IPv6Address},
		}
	}
	for name, tc := range map[string]struct {
		strategy, data string
		change         func(*resource.Attachment)
		index          int
		want           wiring.Interface
		kind           error
		text           string
	}{
		"bridge port": {strategy: "bridge-port", data: bridgeData, index: 2, want: base(bridge, "eth2")},
		"delegated":   {strategy: "delegated", data: `"whatever"`, want: base(wiring.Delegated{}, "eth0")},
		"own name": {
			strategy: "bridge-port", data: bridgeData, change: func(a *resource.Attachment) { a.InterfaceName = "lan" }, index: 1,
			want: base(bridge, "lan"),
		},
		"layer 2 only": {
			strategy: "bridge-port", data: bridgeData, change: func(a *resource.Attachment) { *a = resource.Attachment{} },
			want: wiring.Interface{Name: "eth0", Link: bridge},
		},
		"macvlan": {
			strategy: "macvlan", data: `{"parent":"enp1s0","mode":"private"}`,
			want: base(wiring.Macvlan{Parent: "enp1s0", Mode: resource.MacvlanPrivate}, "eth0"),
		},
		"host device keeps the mac address of its parameters": {
			strategy: "host-device", data: `{"device":"enp2s0"}`, change: func(a *resource.Attachment) {
				a.IPv4Address, a.IPv6Address = netip.Prefix{}, netip.Prefix{}
			},
			want: wiring.Interface{Name: "eth0", Link: wiring.HostDevice{Device: "enp2s0"}, MTU: 1400},
		},
		"tap stream":         {strategy: "tap-stream", data: `{"socket":"/run/s"}`, want: base(wiring.TapStream{Socket: "/run/s"}, "eth0")},
		"relative socket":    {strategy: "tap-stream", data: `{"socket":"run/s"}`, kind: errdefs.ErrFailedPrecondition, text: `socket "run/s"`},
		"long socket":        {strategy: "tap-stream", data: `{"socket":"/` + strings.Repeat("x", 107) + `"}`, kind: errdefs.ErrFailedPrecondition, text: "at most 107 bytes"},
		"no device":          {strategy: "host-device", data: `{}`, kind: errdefs.ErrFailedPrecondition, text: `device ""`},
		"no data":            {strategy: "bridge-port", data: ``, kind: errdefs.ErrFailedPrecondition, text: "plugin p/v"},
		"no bridge":          {strategy: "bridge-port", data: `{"port":"p0"}`, kind: errdefs.ErrFailedPrecondition, text: `bridge ""`},
		"path as a port":     {strategy: "bridge-port", data: `{"bridge":"br0","port":"../x"}`, kind: errdefs.ErrFailedPrecondition, text: `port "../x"`},
		"long parent":        {strategy: "macvlan", data: `{"parent":"abcdefghijklmnop","mode":"bridge"}`, kind: errdefs.ErrFailedPrecondition, text: "parent"},
		"unknown mode":       {strategy: "macvlan", data: `{"parent":"e","mode":"passthru"}`, kind: errdefs.ErrFailedPrecondition, text: `mode "passthru"`},
		"bad interface name": {strategy: "macvlan", data: `{"parent":"e","mode":"bridge"}`, change: func(a *resource.Attachment) { a.InterfaceName = "a b" }, kind: errdefs.ErrInvalidArgument, text: `"a b"`},
		"loopback's name":    {strategy: "macvlan", data: `{"parent":"e","mode":"bridge"}`, change: func(a *resource.Attachment) { a.InterfaceName = "lo" }, kind: errdefs.ErrInvalidArgument, text: `"lo"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := allocated(tc.strategy, tc.data)
			if tc.change != nil {
				tc.change(&a.Attachment)
			}
			got, err := strategy.Table()[tc.strategy].Interface(a, tc.index)
			if tc.kind != nil {
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.text) {
					t.Fatalf("error = %v, want %v with %q", err, tc.kind, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("interface (-want +got):\n%s", diff)
			}
		})
	}
}
