//go:build integration

package inspect_test

import (
	"slices"
	"testing"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netnstest"
)

func TestPorts(t *testing.T) {
	t.Parallel()
	host, inner := netnstest.New(t), netnstest.New(t)
	h := netnstest.Link(t, host)
	for _, bridge := range []string{"own", "other", "empty"} {
		netnstest.Bridge(t, host, bridge)
	}
	for _, p := range [][3]string{{"other", "port1", "eth0"}, {"own", "port2", "eth1"}, {"own", "port3", "eth2"}} {
		if err := h.AddBridgePort(p[0], p[1], link.Peer{Namespace: inner, Name: p[2]}); err != nil {
			t.Fatal(err)
		}
	}
	for bridge, want := range map[string][]string{"own": {"port2", "port3"}, "other": {"port1"}, "empty": nil, "missing": nil} {
		ports, err := h.Ports(bridge)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range ports {
			if index, err := h.Interface(p.Name); err != nil || index.Index != p.Index {
				t.Errorf("port %+v of %s: the interface of that name is %+v, %v", p, bridge, index, err)
			}
			got = append(got, p.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("ports of %s: %v, want %v", bridge, got, want)
		}
	}
}
