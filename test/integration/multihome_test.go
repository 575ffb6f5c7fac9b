//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// One container on networks of three kinds: three interfaces in the order of
// the command line, the right addresses on each, each peer reached, egress
// through the first only.
func TestThreeNetworks(t *testing.T) {
	onEachRuntimeAtLength(t, testThreeNetworks)
}

func testThreeNetworks(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db", "--internal")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink,
		"--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64")
	h.runAsleep("--name", "multi", "--network", "web", "--network", "db", "--network", "lan")

	links := h.patchbay("exec", "multi", "ip", "-o", "addr")
	for place, network := range []string{"web", "db", "lan"} {
		a := h.attachment("multi", network)
		name := fmt.Sprintf("eth%d", place)
		for _, prefix := range addressesOf(t, a) {
			if !hasAddress(links, name, prefix) {
				t.Errorf("network %s: want %v on %s:\n%s", network, prefix, name, links)
			}
		}
		mac := strings.TrimSpace(h.patchbay("exec", "multi", "cat", "/sys/class/net/"+name+"/address"))
		if mac != string(a.MACAddress) {
			t.Errorf("network %s: mac address of %s: got %s, want %s", network, name, mac, a.MACAddress)
		}
		peer := "peer-" + network
		h.patchbay("run", "-d", "--name", peer, "--network", network, "box", "sleep", "1000")
		for _, prefix := range addressesOf(t, h.attachment(peer, network)) {
			h.mustPing("multi", prefix.Addr())
		}
	}

	routes := h.patchbay("exec", "multi", "ip", "route") + "\n" + h.patchbay("exec", "multi", "ip", "-6", "route")
	for route := range strings.Lines(routes) {
		if strings.HasPrefix(route, "default") && !strings.Contains(route, "dev eth0") {
			t.Errorf("want the default route by eth0 only, got %s", route)
		}
	}
	for address, from := range map[string]string{farIPv4: hostIPv4, farIPv6: hostIPv6} {
		v := listenVisitors(t, h.internet, netip.AddrPortFrom(netip.MustParseAddr(address), 80).String())
		h.patchbay("exec", "multi", "nc", "-w", "60", address, "80")
		if got := <-v.from; got.String() != from {
			t.Errorf("egress to %s: comes from %v, want the host's %s", address, got, from)
		}
	}
}

// A container is on a bridge's network twice and on a LAN of another kind. What
// comes in by an interface is answered by it, whoever asks: a neighbour of two
// of the interfaces, or someone far away whom the default route leads to by
// another one. Reverse path filtering is strict meanwhile.
func TestAnswersLeaveWhereTheyCameIn(t *testing.T) {
	onEachRuntime(t, testAnswersLeaveWhereTheyCameIn)
}

func testAnswersLeaveWhereTheyCameIn(t *testing.T, h *host) {
	h.ip(h.internet, "addr add 10.77.0.1/24 dev host")
	h.ip(h.internet, "addr add fd77::1/64 dev host nodad")
	for _, address := range []string{"198.18.0.1/32", "2001:db8:aaaa::1/128"} {
		h.ip(h.internet, "addr add "+address+" dev lo")
	}
	h.ip(h.internet, "addr add fe80::1/64 dev host nodad") // to ask for neighbours from
	h.up()
	const strict = "sysctl=net.ipv4.conf.IFNAME.rp_filter=1"
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64",
		"--option", "parent="+uplink, "--option", "gateway=10.77.0.1", "--option", "gateway-v6=fd77::1",
		"--route", "198.18.0.0/15", "--route", "2001:db8:aaaa::/48=fd77::1")
	h.runAsleep("--name", "multi", "--network", "web,"+strict, "--network", "lan,"+strict, "--network", "web,ifname=more,"+strict)
	for _, name := range []string{"eth0", "eth1", "more"} {
		if got := h.patchbay("exec", "multi", "cat", "/proc/sys/net/ipv4/conf/"+name+"/rp_filter"); got != "1" {
			t.Errorf("rp_filter of %s: got %s, want 1", name, got)
		}
	}

	want := map[netip.Addr]string{}
	sent := h.probe(t, "multi")
	sent.capture()
	for _, a := range h.container("multi").Status.Attachments {
		asker, far4, far6 := h.ns, "", ""
		if a.Network == "lan" {
			asker, far4, far6 = h.internet, farIPv4, farIPv6
		}
		for _, prefix := range addressesOf(t, a) {
			source := far4
			if prefix.Addr().Is6() {
				source = far6
			}
			if err := netnstest.Ping(asker, prefix.Addr().String(), source, settle); err != nil {
				t.Errorf("network %s, interface %s: %v", a.Network, a.InterfaceName, err)
			}
			want[prefix.Addr()] = a.InterfaceName
		}
	}
	got := map[netip.Addr]string{}
	for _, p := range sent.echoReplies() {
		got[p.from] = p.by
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || len(want) != 6 {
		t.Errorf("interfaces by which the answers of each address left (-want +got):\n%s", diff)
	}

	// The routes of a network are taken, whoever has the default route.
	for _, address := range []string{"198.18.0.1", "2001:db8:aaaa::1"} {
		if route := h.patchbay("exec", "multi", "ip", "route", "get", address); !strings.Contains(route, "dev eth1") {
			t.Errorf("route to %s: %s, want it by eth1", address, route)
		}
		h.mustPing("multi", netip.MustParseAddr(address))
	}

	h.explains("multi", map[string]explained{
		"10.77.0.1":  {"eth1", "lan", "macvlan/bridge", "10.77.0.0/24 dev eth1 table 1003", "not filtered", ""},
		"198.18.0.1": {"eth1", "lan", "macvlan/bridge", "198.18.0.0/15 via 10.77.0.1 dev eth1 table 1003", "not filtered", ""},
		"internet":   {"eth0", "web", "bridge/nat", "default via ", "accepted", ""},
		"multi.lan":  {"", "", "", "local", "", h.attachment("multi", "lan").IPv4Address.Addr().String()},
	})

	if h.dear() {
		return
	}
	// Names, order and addresses are the same at every start.
	before := h.container("multi").Status.Attachments
	h.patchbay("restart", "-t", "0", "multi")
	after := h.container("multi").Status.Attachments
	if diff := cmp.Diff(before, after, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("attachments after a restart (-before +after):\n%s", diff)
	}
}

// explained is what "network explain" has to say of a way: the beginning of each
// answer.
type explained struct{ by, network, plugin, route, firewall, name string }

// explains compares the ways from a container with those wanted, by target;
// "internet" is one of those that are explained without being asked for.
func (h *host) explains(container string, want map[string]explained) {
	h.t.Helper()
	for target, w := range want {
		args := []string{"network", "explain", "--format", "json", container}
		if target != "internet" {
			args = append(args, target)
		}
		out := h.patchbay(args...)
		var all []resource.Explanation
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			h.t.Fatalf("%v\n%s", err, out)
		}
		place := slices.IndexFunc(all, func(e resource.Explanation) bool { return e.Target == target })
		if place < 0 {
			h.t.Errorf("to %s: not explained:\n%s", target, out)
			continue
		}
		e := all[place]
		var name resource.Explained
		if len(e.Names) > 0 {
			name = e.Names[0]
		}
		for _, row := range []struct {
			begins string
			got    resource.Explained
		}{{w.by, e.Interface}, {w.network, e.Network}, {w.plugin, e.Plugin}, {w.route, e.Route}, {w.firewall, e.Firewall}, {w.name, name}} {
			if !strings.HasPrefix(row.got.Answer, row.begins) || (row.got.Why == "") != (row.got.Answer == "") {
				h.t.Errorf("to %s: got %+v, want %q with its reason", target, row.got, row.begins)
			}
		}
	}
}

// addressesOf returns both addresses of an attachment, which it has to have.
func addressesOf(t *testing.T, a resource.Attachment) []netip.Prefix {
	t.Helper()
	if !a.IPv4Address.IsValid() || !a.IPv6Address.IsValid() {
		t.Fatalf("network %s: want addresses of both families, got %v and %v", a.Network, a.IPv4Address, a.IPv6Address)
	}
	return []netip.Prefix{a.IPv4Address, a.IPv6Address}
}

func hasAddress(links, name string, address netip.Prefix) bool {
	for line := range strings.Lines(links) {
		fields := strings.Fields(line)
		if len(fields) > 3 && strings.TrimSuffix(fields[1], ":") == name && fields[3] == address.String() {
			return true
		}
	}
	return false
}

// Nothing leaves an internal network, by name or by address, even when a
// container makes itself a route.
func TestInternalNetworkIsClosed(t *testing.T) {
	onEachRuntime(t, testInternalNetworkIsClosed)
}

func testInternalNetworkIsClosed(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db", "--internal")
	h.runAsleep("--name", "closed", "--network", "db")
	h.patchbay("run", "-d", "--name", "open", "--network", "web", "box", "sleep", "1000")
	h.patchbay("run", "-d", "--name", "beside", "--network", "db", "box", "sleep", "1000")

	outside := []netip.Addr{netip.MustParseAddr(farIPv4), netip.MustParseAddr(farIPv6)}
	for _, prefix := range addressesOf(t, h.attachment("open", "web")) {
		outside = append(outside, prefix.Addr())
	}
	h.mustPing("open", outside[0])
	h.mustPing("open", outside[1])
	h.mustPing("closed", h.attachment("beside", "db").IPv4Address.Addr())
	for _, address := range outside {
		h.cannotPing("closed", address)
	}

	// Through whatever address the host has on that network, or any neighbour.
	status := h.network("db").Status
	h.patchbay("exec", "--privileged", "closed", "ip", "route", "add", "default", "via", first(status.IPv4Subnet).String(), "dev", "eth0")
	h.patchbay("exec", "--privileged", "closed", "ip", "-6", "route", "add", "default", "via", first(status.IPv6Subnet).String(), "dev", "eth0")
	for _, address := range outside {
		h.cannotPing("closed", address)
	}
}

// first is where a subnet's gateway is.
func first(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// Two networks are strangers to one another, and the host has services for neither.
func TestNetworksAreIsolated(t *testing.T) {
	onEachRuntime(t, testNetworksAreIsolated)
}

func testNetworksAreIsolated(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "red")
	h.patchbay("network", "create", "blue")
	h.patchbay("network", "create", "open", "--option", "host-access=gateway")
	h.runAsleep("--name", "in-red", "--network", "red")
	h.patchbay("run", "-d", "--name", "in-blue", "--network", "blue", "box", "sleep", "1000")
	red := h.probe(t, "in-red")
	for _, prefix := range addressesOf(t, h.attachment("in-blue", "blue")) {
		h.cannotPing("in-red", prefix.Addr())
	}
	listenVisitors(t, h.ns, ":80")
	var services []string
	for _, address := range []string{hostIPv4, hostIPv6, h.network("red").Status.IPv4Gateway.String(), h.network("open").Status.IPv4Gateway.String()} {
		services = append(services, net.JoinHostPort(address, "80"))
	}
	red.cannotDial(services...)
	h.patchbay("network", "connect", "open", "in-red")
	for _, address := range []netip.Addr{h.network("open").Status.IPv4Gateway, h.network("open").Status.IPv6Gateway} {
		if said, err := red.dial(netip.AddrPortFrom(address, 80).String()); err != nil || said != welcome {
			t.Errorf("a service that the network opens at %s: %q, %v", address, said, err)
		}
	}
}

// What a user asks of an attachment is what the container gets.
func TestAttachmentOptions(t *testing.T) {
	onEachRuntimeAtLength(t, testAttachmentOptions)
}

func testAttachmentOptions(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web", "--subnet", "10.40.0.0/24", "--subnet-v6", "fd40::/64")
	h.runAsleep("--name", "one", "--network", "web,ip=10.40.0.77,ip6=fd40::77,mac=02:00:00:00:00:77,mtu=1400,ifname=lan0")
	links := h.patchbay("exec", "one", "ip", "-o", "addr", "show", "dev", "lan0")
	for _, want := range []string{"10.40.0.77/24", "fd40::77/64"} {
		if !hasAddress(links, "lan0", netip.MustParsePrefix(want)) {
			t.Errorf("want %s on lan0:\n%s", want, links)
		}
	}
	for file, want := range map[string]string{"address": "02:00:00:00:00:77", "mtu": "1400"} {
		if got := strings.TrimSpace(h.patchbay("exec", "one", "cat", "/sys/class/net/lan0/"+file)); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	if got := h.patchbay("run", "--rm", "--runtime", h.runtime, "--network", "none", "box", "ls", "/sys/class/net"); got != "lo" {
		t.Errorf("--network none: got interfaces %q, want lo alone", got)
	}
}
