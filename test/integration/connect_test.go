//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// interfaces lists the interfaces of a running container but loopback, as the
// kernel knows them.
func (h *host) interfaces(container string) string {
	h.t.Helper()
	var names []string
	for line := range strings.Lines(h.patchbay("exec", container, "ip", "-o", "link")) {
		if name := strings.TrimSuffix(strings.Fields(line)[1], ":"); name != "lo" {
			names = append(names, strings.Split(name, "@")[0])
		}
	}
	return strings.Join(names, " ")
}

// inUse wants a number of addresses to be in use on a network.
func (h *host) inUse(network string, want uint64) {
	h.t.Helper()
	eventually(h.t, settle, func() error {
		if got := h.network(network).Status.AddressesInUse; got != want {
			return fmt.Errorf("network %s: %d addresses in use, want %d", network, got, want)
		}
		return nil
	})
}

// A container that runs goes from network to network: interfaces, routes, names
// and leases follow, connections by what stays go on, and a restart keeps it all.
func TestLiveChanges(t *testing.T) {
	onEachRuntime(t, testLiveChanges)
}

func testLiveChanges(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db", "--internal")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64")
	h.run(append([]string{"--name", "app", "--network", "web", "--add-host", "up:host-gateway", "box"}, echoCommand...)...)
	for _, network := range []string{"db", "lan"} {
		h.patchbay("run", "-d", "--name", "on-"+network, "--network", network, "box", "sleep", "1000")
	}
	connection := openStream(t, h.ns, h.attachment("app", "web").IPv4Address.Addr())
	alone := h.routing("app")

	for network, want := range map[string]string{"db,alias=store,mac=02:00:00:00:00:07": "eth1", "lan,gateway-priority=7,ifname=wire": "wire"} {
		if got := h.patchbay("network", "connect", network, "app"); got != want {
			t.Errorf("network connect %s: %q, want %q", network, got, want)
		}
	}
	for _, network := range []string{"db", "lan"} {
		for _, a := range addressesOf(t, h.attachment("app", network)) {
			h.mustPing("on-"+network, a.Addr())
		}
	}
	h.patchbay("exec", "on-db", "ping", "-c", "1", "-W", "60", "store")
	h.patchbay("exec", "app", "ping", "-c", "1", "-W", "60", "on-lan")
	if mac := h.patchbay("exec", "app", "cat", "/sys/class/net/eth1/address"); mac != "02:00:00:00:00:07" {
		t.Errorf("mac address of eth1: %s", mac)
	}
	connection.alive(t)

	before := h.container("app").Status.Attachments
	h.patchbay("restart", "-t", "0", "app")
	if diff := cmp.Diff(before, h.container("app").Status.Attachments, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("attachments after a restart (-before +after):\n%s", diff)
	}
	connection = openStream(t, h.ns, h.attachment("app", "web").IPv4Address.Addr())

	h.patchbay("network", "disconnect", "db", "app")
	h.inUse("db", 1)
	h.patchbay("network", "disconnect", "wire", "app")
	h.inUse("lan", 1)
	if got := h.interfaces("app"); got != "eth0" {
		t.Errorf("interfaces %q, want eth0", got)
	}
	if diff := cmp.Diff(alone, h.routing("app")); diff != "" {
		t.Errorf("routing on one network again (-before +after):\n%s", diff)
	}
	if r := h.try("exec", "on-db", "nslookup", "store"); r.code == 0 {
		t.Errorf("the alias is still known: %s", r)
	}
	connection.alive(t)

	// What has left has made room: for one of the same name and addresses, at once.
	for range 3 {
		for network, neighbour := range map[string]string{"db": "on-db", "lan": "on-lan"} {
			h.patchbay("network", "connect", network+",ifname=again,mac=02:00:00:00:00:07", "app")
			h.mustPing("app", h.attachment(neighbour, network).IPv4Address.Addr())
			h.patchbay("network", "disconnect", network, "app")
			if got := h.interfaces("app"); got != "eth0" {
				t.Errorf("interfaces right after leaving %s: %q, want eth0", network, got)
			}
		}
	}

	// Loopback alone, and back.
	h.patchbay("network", "disconnect", "web", "app")
	if got := h.interfaces("app"); got != "" {
		t.Errorf("interfaces %q, want none", got)
	}
	if hosts := h.patchbay("exec", "app", "cat", "/etc/hosts"); !strings.Contains(hosts, "127.0.1.1") || strings.Contains(hosts, "up") {
		t.Errorf("/etc/hosts without a network:\n%s", hosts)
	}
	h.inUse("web", 0)
	h.patchbay("network", "connect", "web", "app")
	if hosts := h.patchbay("exec", "app", "cat", "/etc/hosts"); !strings.Contains(hosts, h.attachment("app", "web").IPv4Gateway.String()+"\tup\n") {
		t.Errorf("/etc/hosts with a network again lacks the host:\n%s", hosts)
	}
	openStream(t, h.ns, h.attachment("app", "web").IPv4Address.Addr())
	h.mustPing("app", netip.MustParseAddr(farIPv4))
}

// routing is what leads packets inside of a container. Link-local addresses are
// left out: the kernel detects their duplicates in its own time.
func (h *host) routing(container string) string {
	h.t.Helper()
	var out []string
	for _, words := range []string{"ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all"} {
		for line := range strings.Lines(h.patchbay(append([]string{"exec", container}, strings.Fields(words)...)...)) {
			if !strings.HasPrefix(line, "local fe80:") {
				out = append(out, line)
			}
		}
	}
	return strings.Join(out, "\n")
}

// Published ports follow when the network that carries them is left, and wait
// while there is none.
func TestPortsFollow(t *testing.T) {
	onEachRuntimeAtLength(t, testPortsFollow)
}

func testPortsFollow(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64")
	h.runAsleep("--name", "app", "--stop-timeout", "0s", "--network", "web", "--network", "lan", "-p", "8080:80")
	v := h.probe(t, "app").callers(":80")
	callers := func(seen4, seen6 string) {
		t.Helper()
		caller{h.internet, hostIPv4 + ":8080", seen4}.call(t, v)
		caller{h.internet, "[" + hostIPv6 + "]:8080", seen6}.call(t, v)
	}
	callers(neighbourIPv4, neighbourIPv6)
	h.patchbay("network", "disconnect", "web", "app")
	callers("", "")
	h.patchbay("network", "disconnect", "lan", "app")
	h.cannotCall(h.internet, hostIPv4+":8080")
	h.patchbay("network", "connect", "web", "app")
	callers(neighbourIPv4, neighbourIPv6)
	h.patchbay("network", "connect", "lan,gateway-priority=5", "app")
	callers(neighbourIPv4, neighbourIPv6) // they stay
}

// Of a connection that does not come about nothing is left, wherever it fails,
// and what was there goes on.
func TestConnectIsAllOrNothing(t *testing.T) {
	onEachRuntime(t, testConnectIsAllOrNothing)
}

func testConnectIsAllOrNothing(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web", "--subnet", "10.61.0.0/24")
	h.patchbay("network", "create", "twin", "--subnet", "10.62.0.0/24")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.63.0.0/24")
	h.run(append([]string{"--name", "app", "--network", "web,ip=10.61.0.7", "box"}, echoCommand...)...)
	h.patchbay("run", "-d", "--name", "other", "--network", "twin,ip=10.62.0.9", "box", "sleep", "1000")
	connection := openStream(t, h.ns, h.attachment("app", "web").IPv4Address.Addr())
	routing, inside, between := h.routing("app"), h.interfaces("app"), h.between()

	for words, want := range map[string]string{
		"twin,ip=10.62.0.9": "container other", // is taken
		"lan,mtu=9000":      "mtu 9000",        // more than its parent has
		"twin,ip=10.1.1.1":  "not in the subnet",
		"twin,ifname=eth0":  `interface name "eth0"`,
		"twin,sysctl=net.ipv4.conf.IFNAME.nonsense=1": "nonsense",
		"nowhere": "not found",
	} {
		r := h.try("network", "connect", words, "app")
		if r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("want a refusal with %q: %s", want, r)
		}
	}
	for network, want := range map[string]uint64{"web": 1, "twin": 1, "lan": 0} {
		h.inUse(network, want)
	}
	if got := h.interfaces("app"); got != inside {
		t.Errorf("interfaces %q, want %q", got, inside)
	}
	if diff := cmp.Diff(routing, h.routing("app")); diff != "" {
		t.Errorf("routing (-before +after):\n%s", diff)
	}
	eventually(t, settle, func() error { return between.same(h.snapshot()) })
	if n := len(h.container("app").Configuration.Networks); n != 1 {
		t.Errorf("%d networks are configured, want 1", n)
	}
	connection.alive(t)
}

// Neither the death of the plugin nor that of patchbayd keeps a container from
// leaving a network, nor lets a half-made change stay.
func TestDeathDuringChanges(t *testing.T) {
	onEachRuntimeAtLength(t, testDeathDuringChanges)
}

func testDeathDuringChanges(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db")
	h.run(append([]string{"--name", "app", "--network", "web", "--network", "db", "box"}, echoCommand...)...)
	connection := openStream(t, h.ns, h.attachment("app", "web").IPv4Address.Addr())

	kill(t, h.network("db").Status.PluginPID)
	h.patchbay("network", "disconnect", "db", "app")
	if got := h.interfaces("app"); got != "eth0" {
		t.Errorf("interfaces %q, want eth0", got)
	}
	h.inUse("db", 0)

	// patchbayd is killed somewhere in a change. The next one tells one of two
	// truths, and the kernel the same.
	for round := range 6 {
		verb := []string{"connect", "disconnect"}[round%2]
		change := h.begin("network", verb, "db", "app")
		kill(t, h.daemonPID())
		h.wait(change)
		h.patchbay("system", "start")
		eventually(t, settle, func() error { return h.sameNetworks("app") })
		if wired := len(h.container("app").Configuration.Networks) == 2; wired != (verb == "connect") {
			h.patchbay("network", verb, "db", "app") // it was taken back, or has not begun
		}
	}
	connection.alive(t)
	h.inUse("db", 0)
}

// Whoever dies while a network has allocated and the sandbox does not hold that yet, the
// container is on a network as a whole or not at all, and no address stays in use.
func TestDeathBeforeHold(t *testing.T) {
	onEachRuntimeAtLength(t, testDeathBeforeHold)
}

func testDeathBeforeHold(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db")
	h.run(append([]string{"--name", "app", "--network", "web", "box"}, echoCommand...)...)
	connection := openStream(t, h.ns, h.attachment("app", "web").IPv4Address.Addr())
	helper := h.container("app").Status.HelperPID
	allocate := func() *process {
		stopProcess(t, helper)
		change := h.begin("network", "connect", "db", "app")
		h.inUse("db", 1)
		return change
	}
	goOn := func() {
		if err := unix.Kill(helper, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(who string, change *process) {
		if r := h.wait(change); r.code == 0 {
			t.Errorf("connected though %s has died: %s", who, r)
		}
		h.inUse("db", 0)
	}

	change := allocate()
	kill(t, h.network("db").Status.PluginPID)
	goOn()
	refused("the plugin", change)
	eventually(t, settle, func() error { return h.sameNetworks("app") })
	if got := h.interfaces("app"); got != "eth0" {
		t.Errorf("interfaces %q, want eth0", got)
	}

	change = allocate()
	kill(t, h.daemonPID())
	goOn()
	h.wait(change)
	h.patchbay("system", "start")
	eventually(t, settle, func() error { return h.sameNetworks("app") })
	if len(h.container("app").Configuration.Networks) == 2 { // the sandbox has heard of it, and it was stored
		h.patchbay("network", "disconnect", "db", "app")
	}
	h.inUse("db", 0)
	connection.alive(t)

	change = allocate()
	kill(t, helper)
	refused("the runtime helper", change)
	h.inUse("web", 0)
}

// While a fourth network comes and goes, its plugin dies again and again and
// somebody flushes the firewall, connections by a bridge, a macvlan and a user-mode
// stack go on, though the default route moves each time.
func TestCyclesOfChanges(t *testing.T) {
	onEachRuntime(t, testCyclesOfChanges)
}

func testCyclesOfChanges(t *testing.T, h *host) {
	rounds, pace := 10, time.Duration(0)
	if h.dear() {
		rounds = 3
	}
	if v := os.Getenv("PATCHBAY_SOAK_SECONDS"); v != "" {
		if _, err := fmt.Sscan(v, &rounds); err != nil {
			t.Fatalf("PATCHBAY_SOAK_SECONDS=%q: want a number", v)
		}
		pace = time.Second
	}
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	h.patchbay("network", "create", "fourth")
	networks := []string{"--network", "web", "--network", "lan", "--network", "user"}
	h.run(slices.Concat([]string{"--name", "app"}, networks, []string{"box"}, echoCommand)...)
	h.patchbay(slices.Concat([]string{"run", "-d", "--name", "client"}, networks, sleeps)...)
	var connections []*stream
	for _, network := range []string{"web", "lan", "user"} {
		for _, a := range addressesOf(t, h.attachment("app", network)) {
			connections = append(connections, openStream(t, h.namespaceOf("client"), a.Addr()))
		}
	}
	change := func(round int) {
		if round%5 == 2 {
			kill(t, h.network("fourth").Status.PluginPID)
		}
		if round%10 == 1 {
			h.must(h.command(h.ns, "nft", "flush", "ruleset"))
			h.foreignRules()
		}
		h.patchbay("network", "connect", "fourth,gateway-priority=9", "app")
		h.mustPing("app", first(h.attachment("app", "fourth").IPv4Address))
		h.patchbay("network", "disconnect", "fourth", "app")
	}
	change(0) // a bridge gets its link-local address with its first port
	h.inUse("fourth", 0)
	routing, files := h.routing("app"), openFiles(h.container("app").Status.HelperPID)
	between := h.between()
	ticks := time.NewTicker(max(pace, time.Nanosecond))
	defer ticks.Stop()
	for round := range rounds {
		<-ticks.C
		change(round)
	}
	for _, c := range connections {
		c.alive(t)
	}
	h.inUse("fourth", 0)
	if diff := cmp.Diff(routing, h.routing("app")); diff != "" {
		t.Errorf("routing (-before +after):\n%s", diff)
	}
	if now := openFiles(h.container("app").Status.HelperPID); now > files+5 {
		t.Errorf("the runtime helper has %d open files, had %d before", now, files)
	}
	eventually(t, settle, func() error { return between.same(h.snapshot()) })
}

// sameNetworks compares what is configured with the attachments and with the
// interfaces.
func (h *host) sameNetworks(container string) error {
	c := h.container(container)
	var configured, attached []string
	for _, w := range c.Configuration.Networks {
		configured = append(configured, w.InterfaceName)
	}
	for _, a := range c.Status.Attachments {
		attached = append(attached, a.InterfaceName)
	}
	interfaces := h.interfaces(container)
	if c.Status.State != resource.ContainerRunning || strings.Join(configured, " ") != interfaces || strings.Join(attached, " ") != interfaces {
		return fmt.Errorf("container %s is %s: configured %v, attached %v, has %s", container, c.Status.State, configured, attached, interfaces)
	}
	return nil
}
