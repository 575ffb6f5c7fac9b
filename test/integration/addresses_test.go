//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// A network of one address family has nothing of the other: no subnet, no
// gateway, no address in its containers; the one that is left works.
func TestOneAddressFamily(t *testing.T) {
	onEachRuntime(t, testOneAddressFamily)
}

func testOneAddressFamily(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "four", "--ipv6=false")
	h.patchbay("network", "create", "six", "--ipv4=false")
	h.patchbay("network", "update", "four", "--mtu", "1400")
	h.runAsleep("--name", "one", "--network", "four", "--network", "six")
	if mtu := h.patchbay("exec", "one", "cat", "/sys/class/net/eth0/mtu", "/sys/class/net/eth1/mtu"); mtu != "1400\n1500" {
		t.Errorf("mtu of both: %q, want 1400, as the first was updated, and 1500", mtu)
	}
	for _, tt := range []struct{ name, by, far string }{
		{"four", "eth0", farIPv4},
		{"six", "eth1", farIPv6},
	} {
		n, a := h.network(tt.name).Status, h.attachment("one", tt.name)
		four := tt.name == "four"
		for what, has := range map[string][2]bool{
			"subnet":  {n.IPv4Subnet.IsValid(), n.IPv6Subnet.IsValid()},
			"gateway": {a.IPv4Gateway.IsValid(), a.IPv6Gateway.IsValid()},
			"address": {a.IPv4Address.IsValid(), a.IPv6Address.IsValid()},
		} {
			if has != [2]bool{four, !four} {
				t.Errorf("network %s: %s of ipv4, ipv6: got %v", tt.name, what, has)
			}
		}
		inside := h.patchbay("exec", "one", "ip", "-o", "addr", "show", tt.by)
		if strings.Contains(inside, "inet ") != four || !strings.Contains(inside, "scope global") {
			t.Errorf("network %s: addresses inside:\n%s", tt.name, inside)
		}
		h.mustPing("one", netip.MustParseAddr(tt.far)) // by the only one that leads there
	}
	h.patchbay("network", "create", "lan6", "--plugin", "macvlan", "--option", "parent="+uplink, "--ipv4=false")
	if s := h.network("lan6").Status; s.IPv4Subnet.IsValid() || !s.IPv6Subnet.IsValid() {
		t.Errorf("macvlan without ipv4: got %v and %v", s.IPv4Subnet, s.IPv6Subnet)
	}
}

// Ranges are given on request only; an update changes them, and MTU, labels and
// name servers, under a running container, over the death of the plugin and of
// patchbayd; one that is refused changes nothing.
func TestNetworkUpdate(t *testing.T) {
	onEachRuntimeAtLength(t, testNetworkUpdate)
}

func testNetworkUpdate(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web", "--subnet", "10.41.0.0/28", "--reserve", "10.41.0.0-10.41.0.7", "--label", "draft")
	h.runAsleep("--name", "one", "--network", "web")
	h.patchbay("run", "-d", "--name", "fixed", "--network", "web,ip=10.41.0.3", "box", "sleep", "1000")
	first := h.attachment("one", "web")
	if got := first.IPv4Address.Addr().String(); got != "10.41.0.8" {
		t.Errorf("got %s, want the first address behind the range", got)
	}
	if s := h.network("web").Status; s.AddressesInUse != 2 || s.AddressesTotal != 13 || s.AddressesReserved != 6 {
		t.Errorf("usage: got %d of %d, %d reserved, want 2 of 13, 6 reserved", s.AddressesInUse, s.AddressesTotal, s.AddressesReserved)
	}

	before := h.network("web")
	r := h.try("network", "update", "web", "--mtu", "100", "--reserve", "10.9.0.1", "--label", "tier=front")
	if r.code != 1 || !strings.Contains(r.stderr, "10.9.0.1") || !strings.Contains(r.stderr, "mtu 100") {
		t.Errorf("want both faults: %s", r)
	}
	if after := h.network("web"); after.Configuration.MTU != before.Configuration.MTU || len(after.Labels) != 1 ||
		len(after.Configuration.ReservedRanges) != 1 {
		t.Errorf("a refused update has changed something: %+v", after)
	}

	h.patchbay("network", "update", "web", "--mtu", "1400", "--reserve", "10.41.0.8-10.41.0.10", "--label", "tier=front", "--remove-label", "draft",
		"--dns", "192.0.2.53", "--dns-search", "example.net")
	check := func(when, container, want string) {
		t.Helper()
		h.patchbay("run", "-d", "--name", container, "--network", "web", "box", "sleep", "1000")
		a := h.attachment(container, "web")
		if a.MTU != 1400 || a.IPv4Address.Addr().String() != want || len(a.DNS.Servers) != 1 || len(a.DNS.Search) != 1 {
			t.Errorf("%s: got %+v, want mtu 1400, address %s and the name server", when, a, want)
		}
		if again := h.attachment("one", "web"); again.IPv4Address != first.IPv4Address || again.MTU != first.MTU {
			t.Errorf("%s: the running container has got another attachment: %+v", when, again)
		}
		h.mustPing(container, first.IPv4Address.Addr())
	}
	check("after the update", "two", "10.41.0.11")

	kill(t, h.network("web").Status.PluginPID)
	check("after the plugin's death", "three", "10.41.0.2")
	h.patchbay("stop", "-t", "0", "one", "two", "three", "fixed")
	h.patchbay("system", "stop", "-t", "0")
	h.patchbay("system", "start")
	h.patchbay("start", "one") // waits for the network
	if a, inside := h.attachment("one", "web"), h.patchbay("exec", "one", "cat", "/sys/class/net/eth0/mtu"); a.MTU != 1400 || inside != "1400" {
		t.Errorf("a container that was started again: got mtu %d, inside %s, want 1400", a.MTU, inside)
	}
	n := h.network("web")
	if n.Status.MTU != 1400 || n.Labels["tier"] != "front" || len(n.Labels) != 1 || len(n.Configuration.DNS.Servers) != 1 ||
		len(n.Configuration.ReservedRanges) != 1 {
		t.Errorf("after a stop of all: got %+v", n)
	}
}

// Subnets come from the configured pools, down to one container for each; the
// last one is followed by an error that names the setting. IPv6 subnets are of
// one prefix of the installation, which stays.
func TestPools(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("[pools]\nipv4 = [{base = \"10.77.0.0/30\", size = 31}, {base = \"10.78.0.0/24\"}]\n"), 0o644)
	h.up() // its built-in network has the first
	h.patchbay("network", "create", "pair")
	n := h.network("pair").Status
	if !netip.MustParsePrefix("10.77.0.0/30").Overlaps(n.IPv4Subnet) || n.IPv4Subnet.Bits() != 31 || n.AddressesTotal != 1 {
		t.Errorf("got %v with %d addresses, want a /31 of the pool with 1", n.IPv4Subnet, n.AddressesTotal)
	}
	h.patchbay("run", "-d", "--name", "one", "--network", "pair", "box", "sleep", "1000")
	h.mustPing("one", netip.MustParseAddr(farIPv4))
	if r := h.try("run", "--name", "two", "--network", "pair", "box", "true"); r.code == 0 || !strings.Contains(r.stderr, n.IPv4Subnet.String()) {
		t.Errorf("a second container: %s, want the full subnet named", r)
	}
	h.patchbay("network", "create", "second")
	second := h.network("second").Status
	if second.IPv4Subnet.String() != "10.78.0.0/24" {
		t.Errorf("got %v, want the second pool's", second.IPv4Subnet)
	}
	if r := h.try("network", "create", "third"); r.code == 0 || !strings.Contains(r.stderr, "add a pool to ipv4 of [pools]") || !strings.Contains(r.stderr, "10.78.0.0/24") {
		t.Errorf("without a free subnet: %s", r)
	}
	h.patchbay("network", "create", "four", "--ipv4=false") // needs none
	h.patchbay("system", "stop", "-t", "0")
	h.patchbay("system", "start")
	h.patchbay("network", "create", "five", "--ipv4=false")
	site := netip.PrefixFrom(n.IPv6Subnet.Addr(), 48).Masked()
	for _, name := range []string{"second", "four", "five"} {
		if got := h.network(name).Status.IPv6Subnet; got.Bits() != 64 || !site.Contains(got.Addr()) {
			t.Errorf("network %s: got %v, want a /64 of %v", name, got, site)
		}
	}
}

// What the host comes to use of a network's subnet is a warning that shows in
// status and list, and goes away with it. It stands in the way neither of
// containers, nor of an update, nor of a plugin that starts anew.
func TestClashWarning(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web", "--subnet", "10.44.0.0/24", "--ipv6=false")
	h.patchbay("run", "-d", "--name", "one", "--network", "web", "box", "sleep", "1000")
	warnings := func(want int) func() error {
		return func() error {
			if s := h.network("web").Status; s.State != resource.NetworkReady || len(s.Warnings) != want {
				return fmt.Errorf("got %s (%s), warnings %q, want ready and %d", s.State, s.Message, s.Warnings, want)
			}
			return nil
		}
	}
	eventually(t, settle, warnings(0))
	h.ip(h.ns, "route add 10.0.0.0/8 via 192.0.2.1")
	eventually(t, settle, warnings(1))
	const want = "subnet 10.44.0.0/24: the host has come to use it too: route 10.0.0.0/8 by uplink"
	if got := h.network("web").Status.Warnings[0]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if list := h.patchbay("network", "list", "--no-trunc"); !strings.Contains(list, "ready: warning: "+want) {
		t.Errorf("list does not mark the network:\n%s", list)
	}
	if r := h.try("network", "create", "no", "--subnet", "10.45.0.0/24"); r.code == 0 {
		t.Errorf("a new network may overlap: %s", r)
	}
	h.patchbay("network", "update", "web", "--mtu", "1400")
	pid := h.network("web").Status.PluginPID
	kill(t, pid)
	eventually(t, settle, func() error {
		if h.network("web").Status.PluginPID == pid {
			return errors.New("the plugin is not started again")
		}
		return warnings(1)()
	})
	h.patchbay("run", "-d", "--name", "two", "--network", "web", "box", "sleep", "1000")
	h.mustPing("two", h.attachment("one", "web").IPv4Address.Addr())
	h.ip(h.ns, "route del 10.0.0.0/8")
	eventually(t, settle, warnings(0))
}

// A reboot, after which nothing of the run root is there, leaves containers the
// addresses that they had, whichever starts first.
func TestAddressesOverReboot(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	names := []string{"a", "b", "c"}
	before := map[string]resource.Attachment{}
	for _, name := range append(names, "gone") {
		h.patchbay("run", "-d", "--name", name, "--network", "web", "box", "sleep", "1000")
		before[name] = h.attachment(name, "web")
	}
	h.patchbay("delete", "--force", "gone")
	h.patchbay("stop", "-t", "0", "a", "b", "c")
	h.patchbay("system", "stop", "-t", "0")
	if err := os.RemoveAll(h.runRoot); err != nil {
		t.Fatal(err)
	}
	h.patchbay("system", "start")
	h.patchbay("run", "-d", "--name", "new", "--network", "web", "box", "sleep", "1000")
	for _, name := range slices.Backward(names) {
		h.patchbay("start", name)
	}
	for _, name := range names {
		a := h.attachment(name, "web")
		if want := before[name]; a.IPv4Address != want.IPv4Address || a.IPv6Address != want.IPv6Address || a.MACAddress != want.MACAddress {
			t.Errorf("container %s: got %v, %v and %s, want %v, %v and %s", name,
				a.IPv4Address, a.IPv6Address, a.MACAddress, want.IPv4Address, want.IPv6Address, want.MACAddress)
		}
	}
}

// Networks of a file are created together or not at all; what is exported makes
// the same networks again.
func TestNetworkFile(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	const file = `
[[network]]
name = "lab"
subnet = "10.46.0.0/28"
ipv6 = false
mtu = 1400
reserve = ["10.46.0.0/29"]
route = ["203.0.113.0/24"]
dns = ["192.0.2.53"]
option = {host-access = "gateway"}
label = {tier = "back"}

[[network]]
name = "second"
`
	half := h.tryInput(file+"[[network]]\nname = \"third\"\nsubnet = \"10.46.0.0/24\"\n", "network", "create", "--file", "-")
	if half.code == 0 || !strings.Contains(half.stderr, "network third: ") || !strings.Contains(half.stderr, "overlaps network lab") {
		t.Errorf("a network that cannot be made: %s", half)
	}
	if names := h.patchbay("network", "list", "-q"); strings.TrimSpace(names) != "default" {
		t.Errorf("half of a file is left: %s", names)
	}
	h.must(h.tryInput(file, "network", "create", "--file", "-"))
	h.patchbay("run", "-d", "--name", "one", "--network", "lab", "box", "sleep", "1000")
	if a := h.attachment("one", "lab"); a.IPv4Address.String() != "10.46.0.8/28" || a.MTU != 1400 {
		t.Errorf("got %v and mtu %d", a.IPv4Address, a.MTU)
	}
	h.patchbay("delete", "--force", "one")
	whole := h.patchbay("network", "export", "--chosen", "lab", "second")
	h.patchbay("network", "delete", "lab", "second")
	h.must(h.tryInput(whole, "network", "create", "--file", "-"))
	if again := h.patchbay("network", "export", "--chosen", "lab", "second"); again != whole {
		t.Errorf("exported:\n%s\nand of that:\n%s", whole, again)
	}
}

// What docker printed of a network makes it, with its addresses; a file with one
// that cannot be carried over makes none.
func TestNetworkImport(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	const shop = `{"Name": "shop", "Driver": "bridge", "EnableIPv6": false, "Labels": {"tier": "front"}, "Options": {"com.docker.network.driver.mtu": "1450"},
		"IPAM": {"Config": [{"Subnet": "172.28.0.0/16", "IPRange": "172.28.5.0/24", "Gateway": "172.28.0.1"}]}}`
	mixed := h.tryInput("["+shop+`, {"Name": "swarm", "Driver": "overlay"}]`, "network", "import", "-")
	if mixed.code == 0 || !strings.Contains(mixed.stderr, "network swarm: driver overlay: cannot be carried over") {
		t.Errorf("a driver that is not known: %s", mixed)
	}
	if r := h.try("network", "inspect", "shop"); r.code == 0 {
		t.Errorf("half of a file is left: %s", r)
	}
	h.must(h.tryInput("["+shop+"]", "network", "import", "-"))
	h.patchbay("run", "-d", "--name", "one", "--network", "shop", "box", "sleep", "1000")
	a := h.attachment("one", "shop")
	if a.IPv4Address.String() != "172.28.5.0/16" || a.IPv6Address.IsValid() || a.MTU != 1450 {
		t.Errorf("got %+v, want the first address of the range, no ipv6, mtu 1450", a)
	}
	h.mustPing("one", netip.MustParseAddr(farIPv4))
}

// A container that comes is heard by no other one of its network, whose addresses have the MAC address that
// they had before: only one with another MAC address is, and the next owner of its addresses.
func TestStartIsNotHeard(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "lan", "--subnet", "10.46.0.0/24")
	h.runAsleep("--name", "bystander", "--network", "lan")
	wire := netnstest.OpenWire(t, h.namespaceOf("bystander"), "eth0")
	var heard []resource.MACAddress // that were announced, up to the one that was waited for
	await := func(mac resource.MACAddress) {
		t.Helper()
		heard = nil
		came, err := wire.Await(func(frame []byte) bool {
			if !announces(frame) {
				return false
			}
			from := resource.MACAddress(net.HardwareAddr(frame[6:12]).String())
			heard = append(heard, from)
			return from == mac
		}, settle)
		if err != nil || !came {
			t.Errorf("%s was not announced: %v", mac, err)
		}
	}
	next := func(name, network string) resource.Attachment {
		t.Helper()
		h.runAsleep("--name", name, "--network", network)
		a := h.attachment(name, "lan")
		// The kernel would tell all of a link-local address that has no duplicate.
		eventually(t, settle, func() error {
			if all := h.ip(h.namespaceOf(name), "-6 address show dev eth0 scope link"); !strings.Contains(all, "fe80:") || strings.Contains(all, "tentative") {
				return fmt.Errorf("link-local address of %s: %s", name, all)
			}
			return nil
		})
		for _, prefix := range addressesOf(t, a) {
			h.mustPing("bystander", prefix.Addr())
		}
		h.patchbay("delete", "-f", name)
		return a
	}
	const address, foreign = "lan,ip=10.46.0.9", "02:00:00:00:00:09"
	first := next("first", address)
	second := next("second", address)
	if first.MACAddress != second.MACAddress || first.IPv6Address != second.IPv6Address {
		t.Errorf("the same address: got %s and %v, then %s and %v", first.MACAddress, first.IPv6Address, second.MACAddress, second.IPv6Address)
	}
	next("foreign", address+",mac="+foreign)
	await(foreign)
	if slices.Contains(heard, first.MACAddress) {
		t.Errorf("%s was announced though its addresses had no other MAC address: %s", first.MACAddress, heard)
	}
	next("third", address)
	await(first.MACAddress)
}

// announces tells whether a frame tells everybody what nobody has asked for: ARP for the sender's own
// address (RFC 5227), or a neighbour advertisement to all (RFC 4861).
func announces(frame []byte) bool {
	switch {
	case frame[0]&1 == 0 || len(frame) < 14+28:
		return false
	case frame[12] == 0x08 && frame[13] == 0x06:
		return slices.Equal(frame[28:32], frame[38:42])
	}
	return frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == unix.IPPROTO_ICMPV6 && frame[54] == 136
}
