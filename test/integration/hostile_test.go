//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/resource"
	"patchbay.dev/patchbay/test/probe/form"
)

// attacker is a container that makes its frames by itself, whatever it runs in, and
// its victim on one network.
type attacker struct {
	h          *host
	t          *testing.T
	own, other hostile.Party
	victim     *netnstest.Wire
	by         *probe
	nic        string // the interface that the frames are put on
	marks      int
}

// attacker has the container of a probe face another one on a network.
func (h *host) attacker(t *testing.T, by *probe, victim, network string) *attacker {
	t.Helper()
	own, other := h.attachment(by.container, network), h.attachment(victim, network)
	return &attacker{
		h: h, t: t, own: hostile.NewParty(own), other: hostile.NewParty(other), by: by, nic: own.InterfaceName,
		victim: netnstest.OpenWire(t, h.namespaceOf(victim), other.InterfaceName),
	}
}

func (a *attacker) send(frame []byte) {
	a.t.Helper()
	a.by.must(form.Request{Do: form.Frame, Interface: a.nic, Data: frame})
}

// arrives reports whether the victim gets what is sent.
func (a *attacker) arrives(x hostile.Attack) bool {
	a.t.Helper()
	for _, f := range x.Frames {
		a.send(f)
	}
	a.marks++
	text := fmt.Sprintf("mark %d", a.marks)
	a.send(hostile.Mark(a.own, a.other, text))
	arrived := false
	marked, err := a.victim.Await(func(frame []byte) bool {
		arrived = arrived || x.SeenIn(frame)
		return strings.Contains(string(frame), text)
	}, settle)
	if err != nil || !marked {
		a.t.Fatalf("an honest frame does not arrive, error %v", err)
	}
	return arrived
}

// wantHarmless sends all attacks and wants that none arrives.
func (a *attacker) wantHarmless() {
	a.t.Helper()
	for name, x := range hostile.Attacks(a.own, a.other) {
		if a.arrives(x) {
			a.t.Errorf("%s: arrives", name)
		}
	}
}

// wantRulesToMatter wants that all attacks arrive where a network of the bridge
// plugin lets everything through: it is its rules that stop them.
// It calls more, which may remove rules too.
func (a *attacker) wantRulesToMatter(network string, more func()) {
	a.t.Helper()
	h := a.h
	bridge := netnstest.OpenWire(a.t, h.ns, h.bridgeOf(network))
	before := h.rules()
	resume := h.suspendPlugins("bridge") // they would heal the rules
	defer resume()
	h.must(h.command(h.ns, "nft", "flush", "chain", "bridge", "patchbay", "prerouting"))
	for name, x := range hostile.Attacks(a.own, a.other) {
		if !a.arrives(x) {
			a.t.Errorf("%s: does not arrive without the rules, so that the test proves nothing", name)
		}
		// The bridge learns again where the victim is.
		here := hostile.Here(a.other)
		if err := a.victim.Send(here); err != nil {
			a.t.Fatal(err)
		}
		if ok, err := bridge.Await(func(frame []byte) bool { return string(frame) == string(here) }, settle); err != nil || !ok {
			a.t.Fatalf("the victim is not heard, error %v", err)
		}
	}
	more()
	resume()
	eventually(a.t, settle, func() error {
		if now := h.rules(); now != before {
			return fmt.Errorf("not healed:\n%s", now)
		}
		return nil
	})
}

// rules are those that all networks of the bridge plugin have in common.
func (h *host) rules() string {
	h.t.Helper()
	var out strings.Builder
	for _, chain := range [][2]string{{"bridge", "prerouting"}, {"inet", "forward"}} {
		out.WriteString(h.must(h.command(h.ns, "nft", "list", "chain", chain[0], "patchbay", chain[1])))
	}
	return out.String()
}

// suspendPlugins stops the processes of a network plugin until resume.
func (h *host) suspendPlugins(plugin string) (resume func()) {
	h.t.Helper()
	var stopped []int
	var all []resource.Network
	if err := json.Unmarshal([]byte(h.patchbay("network", "list", "--format", "json")), &all); err != nil {
		h.t.Fatal(err)
	}
	for _, n := range all {
		if n.Configuration.Plugin.Plugin == plugin {
			stopped = append(stopped, n.Status.PluginPID)
			stopProcess(h.t, n.Status.PluginPID)
		}
	}
	return sync.OnceFunc(func() {
		for _, pid := range stopped {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				h.t.Error(err)
			}
		}
	})
}

// bridgeOf is the bridge of a network on the host.
func (h *host) bridgeOf(network string) string {
	h.t.Helper()
	all, err := netnstest.Link(h.t, h.ns).Interfaces()
	if err != nil {
		h.t.Fatal(err)
	}
	id := h.network(network).ID
	for _, i := range all {
		if i.Kind == "bridge" && i.Alias == link.OwnerAlias(id) {
			return i.Name
		}
	}
	h.t.Fatalf("network %s has no bridge among %+v", network, all)
	return ""
}

// A container with all that it needs to make frames by itself harms nobody, whatever it
// runs in. It is on networks with the container that it attacks: a bridge, an internal
// one, and one of a user-mode stack.
func TestHostileContainer(t *testing.T) {
	onEachRuntime(t, testHostileContainer)
}

func testHostileContainer(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db", "--internal")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	const container, victim = "hostile", "near"
	on := []string{"--network", "web", "--network", "db,ifname=back", "--network", "user"}
	h.patchbay(slices.Concat([]string{"run", "-d", "--name", victim}, on, sleeps)...)
	h.runAsleep(append([]string{"--name", container}, on...)...)
	by := h.probe(t, container)
	// Where br_netfilter is on, it checks and changes packets beyond our rules.
	h.must(h.command(h.ns, "sh", "-c", "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $f ] || echo 0 >$f; done"))
	web := h.attacker(t, by, victim, "web")
	for name, frame := range hostile.Honest(web.own, web.other) {
		if !web.arrives(hostile.Attack{Frames: [][]byte{frame}}) {
			t.Errorf("%s, which is honest: does not arrive", name)
		}
	}
	web.wantHarmless()
	h.attacker(t, by, victim, "user").wantHarmless()

	// A network that is connected later is guarded as well.
	h.patchbay("network", "create", "late")
	for _, name := range []string{victim, container} {
		h.patchbay("network", "connect", "late", name)
	}
	h.attacker(t, by, victim, "late").wantHarmless()

	// Packets to the host's own address on a network are to be passed on: not to
	// another network, and out of an internal one not at all.
	h.patchbay("run", "-d", "--name", "apart", "--network", "default", "box", "sleep", "1000")
	apart := h.attachment("apart", "default")
	x := &escapes{
		h: h, t: t, web: web,
		far:   netnstest.OpenWire(t, h.internet, "host"),
		apart: netnstest.OpenWire(t, h.namespaceOf("apart"), apart.InterfaceName), apartAddress: apart.IPv4Address.Addr(),
		ways: []escape{
			{"from an internal network to the internet", h.attacker(t, by, victim, "db"), h.macOf(h.bridgeOf("db")), []string{farIPv4, farIPv6}},
			{"to another network", web, h.macOf(h.bridgeOf("web")), []string{apart.IPv4Address.Addr().String(), apart.IPv6Address.Addr().String()}},
		},
	}
	// The host knows its neighbours: no packet waits for one, and comes after its mark.
	far := macIn(t, h.internet, "host")
	for _, n := range []struct {
		address fmt.Stringer
		mac     fmt.Stringer
		device  string
	}{
		{netip.MustParseAddr(neighbourIPv4), far, uplink},
		{netip.MustParseAddr(neighbourIPv6), far, uplink},
		{apart.IPv4Address.Addr(), apart.MACAddress.HardwareAddr(), h.bridgeOf("default")},
		{apart.IPv6Address.Addr(), apart.MACAddress.HardwareAddr(), h.bridgeOf("default")},
	} {
		h.ip(h.ns, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", n.address, n.mac, n.device))
	}
	if got := x.try(); len(got) > 0 {
		t.Errorf("got through: %v", got)
	}

	web.wantRulesToMatter("web", func() {
		h.must(h.command(h.ns, "nft", "flush", "chain", "inet", "patchbay", "forward"))
		if got := x.try(); len(got) != 4 {
			t.Errorf("got through without the rules: %v, want both families of both ways: the test proves nothing", got)
		}
	})
	web.wantHarmless() // healed
}

// escapes are ways out of a network that there must not be.
type escapes struct {
	h            *host
	t            *testing.T
	web          *attacker // may reach the internet
	far, apart   *netnstest.Wire
	apartAddress netip.Addr
	ways         []escape
	tries        int
}

type escape struct {
	name    string
	from    *attacker
	gateway net.HardwareAddr // of the bridge
	targets []string         // an address of each family
}

// try sends a packet by each way, and returns those that have got through.
func (x *escapes) try() (through []string) {
	x.t.Helper()
	x.tries++
	want := map[string]string{} // name by the text of the packet
	for i, e := range x.ways {
		for _, target := range e.targets {
			text := fmt.Sprintf("escape %d of try %d to %s", i, x.tries, target)
			want[text] = e.name + ": " + target
			e.from.send(e.from.routed(e.gateway, target, text))
		}
	}
	// What may pass comes last, on either wire.
	mark := fmt.Sprintf("mark of try %d", x.tries)
	x.web.send(x.web.routed(x.ways[1].gateway, farIPv4, mark))
	seen := func(wire *netnstest.Wire) {
		x.t.Helper()
		marked, err := wire.Await(func(frame []byte) bool {
			for text, name := range want {
				if bytes.Contains(frame, []byte(text)) {
					through = append(through, name)
					delete(want, text)
				}
			}
			return bytes.Contains(frame, []byte(mark))
		}, settle)
		if err != nil || !marked {
			x.t.Fatalf("what may pass does not arrive, error %v", err)
		}
	}
	seen(x.far)
	netnstest.Do(x.t, x.h.ns, func() error {
		c, err := net.Dial("udp", netip.AddrPortFrom(x.apartAddress, 9).String())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.WriteString(c, mark)
		return err
	})
	seen(x.apart)
	return through
}

// routed is a datagram to an address beyond a gateway.
func (a *attacker) routed(gateway net.HardwareAddr, target, text string) []byte {
	to := hostile.Address(target)
	if len(to) == 4 {
		return hostile.Ethernet(gateway, a.own.MAC, 0x0800, hostile.IPv4(a.own.IPv4, to, hostile.ProtocolUDP, 0, hostile.UDP(a.own.IPv4, to, 4000, 9, text)))
	}
	return hostile.Ethernet(gateway, a.own.MAC, 0x86dd, hostile.IPv6(a.own.IPv6, to, hostile.ProtocolUDP, hostile.UDP(a.own.IPv6, to, 4000, 9, text)))
}

// macOf is the MAC address of an interface of the host.
func (h *host) macOf(name string) net.HardwareAddr {
	h.t.Helper()
	return macIn(h.t, h.ns, name)
}

func macIn(t *testing.T, ns *netns.Namespace, name string) net.HardwareAddr {
	t.Helper()
	i, err := netnstest.Link(t, ns).Interface(name)
	if err != nil {
		t.Fatal(err)
	}
	return i.MAC.HardwareAddr()
}
