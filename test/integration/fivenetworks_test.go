//go:build integration

package integration

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/netnstest"
)

// One container on five networks of four plugins: all are reached, each is answered
// by its own interface, and every way is explained.
func TestFiveNetworksOfFourPlugins(t *testing.T) {
	onEachRuntime(t, testFiveNetworks)
}

func testFiveNetworks(t *testing.T, h *host) {
	h.lendable()
	h.ip(h.internet, "addr add 10.77.0.200/24 dev host")
	h.up()
	networks := []string{"web", "db", "lan", "user", "wire"}
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db", "--internal")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	// A machine cannot have an interface of the host, only one of its own beside it.
	plugin, word := "host-device/", "device"
	if h.runtime == machine {
		plugin, word = "macvlan/bridge", "parent"
	}
	name, _, _ := strings.Cut(plugin, "/")
	h.patchbay("network", "create", "wire", "--plugin", name, "--option", word+"=spare", "--subnet", "10.78.0.0/24")
	args := []string{"--name", "multi"}
	for _, network := range networks {
		args = append(args, "--network", network)
	}
	h.runAsleep(args...)

	neighbours := map[string]netip.Addr{"lan": netip.MustParseAddr("10.77.0.200"), "wire": netip.MustParseAddr("10.78.0.200")}
	for _, network := range []string{"web", "db", "user"} {
		h.patchbay("run", "-d", "--name", "on-"+network, "--network", network, "box", "sleep", "1000")
		neighbours[network] = h.attachment("on-"+network, network).IPv4Address.Addr()
	}

	want := map[netip.Addr]string{}
	sent := h.probe(t, "multi")
	sent.capture()
	for _, network := range networks {
		h.mustPing("multi", neighbours[network])
		a := h.attachment("multi", network)
		address := a.IPv4Address.Addr()
		want[address] = a.InterfaceName
		if network == "lan" || network == "wire" {
			if err := netnstest.Ping(h.internet, address.String(), neighbours[network].String(), settle); err != nil {
				t.Errorf("network %s: %v", network, err)
			}
		} else {
			h.mustPing("on-"+network, address)
		}
	}
	h.mustPing("multi", netip.MustParseAddr(farIPv4))
	got := map[netip.Addr]string{}
	for _, p := range sent.echoReplies() {
		got[p.from] = p.by
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("interfaces by which the answers of each address left (-want +got):\n%s", diff)
	}

	route := func(network, by string) string {
		return h.attachment("multi", network).IPv4Address.Masked().String() + " dev " + by
	}
	h.explains("multi", map[string]explained{
		neighbours["web"].String():  {"eth0", "web", "bridge/nat", route("web", "eth0"), "accepted", ""},
		neighbours["db"].String():   {"eth1", "db", "bridge/internal", route("db", "eth1"), "accepted", ""},
		neighbours["lan"].String():  {"eth2", "lan", "macvlan/bridge", route("lan", "eth2"), "not filtered", ""},
		neighbours["user"].String(): {"eth3", "user", "usermode/nat", route("user", "eth3"), "accepted", ""},
		neighbours["wire"].String(): {"eth4", "wire", plugin, route("wire", "eth4"), "not filtered", ""},
		"internet":                  {"eth0", "web", "bridge/nat", "default via ", "accepted", ""},
		"on-user.user":              {"eth3", "user", "usermode/nat", route("user", "eth3"), "accepted", neighbours["user"].String()},
	})
}
