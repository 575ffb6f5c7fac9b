//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/test/probe/form"
)

// On a LAN nobody checks who sends what. Yet a container of the variant "private" does
// not reach those beside it on the parent, and none gets what is for another one: not
// by what it sends, and not by what it makes of its own interface.
func TestHostileContainerOnALAN(t *testing.T) {
	onEachRuntime(t, testHostileContainerOnALAN)
}

func testHostileContainerOnALAN(t *testing.T, h *host) {
	const far, container, victim = "10.77.0.200", "hostile", "near"
	h.ip(h.internet, "addr add "+far+"/24 dev host")
	h.up()
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64",
		"--option", "gateway="+far, "--option", "gateway-v6=fd77::200")
	h.patchbay("network", "create", "apart", "--plugin", "macvlan", "--plugin-variant", "private", "--option", "parent="+uplink, "--subnet", "10.78.0.0/24", "--subnet-v6", "fd78::/64",
		"--option", "gateway=10.78.0.200", "--option", "gateway-v6=fd78::200")
	on := []string{"--network", "lan", "--network", "apart"}
	h.patchbay(slices.Concat([]string{"run", "-d", "--name", victim}, on, sleeps)...)
	h.runAsleep(append([]string{"--name", container}, on...)...)
	by := h.probe(t, container)
	lan, apart := h.attacker(t, by, victim, "lan"), h.attacker(t, by, victim, "apart")
	outside := netnstest.OpenWire(t, h.internet, "host")
	farMAC := macIn(t, h.internet, "host")
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

	// What is sent to one neighbour and to all gets out in any case, and is told from
	// others by its text. What comes after it on the LAN, to all, comes last.
	reached := func(a *attacker) bool {
		t.Helper()
		a.marks++
		text := fmt.Sprintf("from %s, %d", a.nic, a.marks)
		for _, to := range []net.HardwareAddr{a.other.MAC, everybody} {
			a.send(hostile.Ethernet(to, a.own.MAC, 0x0800, hostile.IPv4(a.own.IPv4, a.other.IPv4, hostile.ProtocolUDP, 0, hostile.UDP(a.own.IPv4, a.other.IPv4, 1, 1, text))))
		}
		if out, err := outside.Await(func(frame []byte) bool { return bytes.Contains(frame, []byte(text)) }, settle); err != nil || !out {
			t.Fatalf("a frame of %s does not leave the host, error %v", a.nic, err)
		}
		last := hostile.Ethernet(everybody, farMAC, 0x0800, []byte("after "+text))
		if err := outside.Send(last); err != nil {
			t.Fatal(err)
		}
		got := false
		heard, err := a.victim.Await(func(frame []byte) bool {
			got = got || bytes.Contains(frame, []byte(text)) && !bytes.Equal(frame, last)
			return bytes.Equal(frame, last)
		}, settle)
		if err != nil || !heard {
			t.Fatalf("the LAN is not heard by the victim on %s, error %v", a.nic, err)
		}
		return got
	}
	if !reached(lan) {
		t.Error("a neighbour on a LAN is not reached")
	}
	if reached(apart) {
		t.Error("a neighbour is reached, though they are to be private")
	}

	// Under the victim's addresses it gets nothing of what is for the victim.
	call := func(when string) {
		t.Helper()
		if err := netnstest.Ping(h.internet, h.attachment(victim, "lan").IPv4Address.Addr().String(), far, settle); err != nil {
			t.Errorf("%s: the victim is not reached: %v", when, err)
		}
	}
	call("before")
	lan.send(hostile.ARPReply(lan.other.MAC, lan.other.MAC, lan.other.IPv4))
	lan.send(hostile.Ethernet(farMAC, lan.other.MAC, 0x0800, hostile.IPv4(lan.other.IPv4, hostile.Address(far), hostile.ProtocolUDP, 0, hostile.UDP(lan.other.IPv4, hostile.Address(far), 1, 1, "as the victim"))))
	if out, err := outside.Await(func(frame []byte) bool { return bytes.Contains(frame, []byte("as the victim")) }, settle); err != nil || !out {
		t.Fatalf("a frame does not leave the host, error %v", err)
	}
	call("after frames under its address")

	// With its own interface it may do as it likes. The kernel lets no two interfaces
	// of a parent have one address, and does not ask a machine about that of its host's.
	own := h.attachment(container, "lan").IPv4Address.Addr().String()
	take := func(address string) bool {
		return h.try("exec", "--privileged", "--user", "root", container, "sh", "-c",
			"ip link set eth0 down; ip link set eth0 address "+address+"; e=$?; ip link set eth0 up; exit $e").code == 0
	}
	if took := take(net.HardwareAddr(lan.other.MAC).String()); took != (h.runtime == machine) {
		t.Errorf("the victim's address as its own: taken %v", took)
	}
	call("after its address was taken")
	const foreign = "02:00:00:00:77:77"
	if !take(foreign) {
		t.Error("an address that nobody has is not taken")
	}
	h.ip(h.internet, "neigh replace "+own+" lladdr "+foreign+" dev host nud permanent")
	patience := time.Second
	if h.runtime == namespaces {
		patience = settle
	}
	if err := netnstest.Ping(h.internet, own, far, patience); (err == nil) != (h.runtime == namespaces) {
		t.Errorf("reached under an address of its own choice: error %v", err)
	}
	by.must(form.Request{Do: form.Frame, Interface: "eth0", Data: hostile.Mark(lan.own, lan.other, "at the end")}) // it goes on
	if out, err := outside.Await(func(frame []byte) bool { return bytes.Contains(frame, []byte("at the end")) }, settle); err != nil || !out {
		t.Errorf("a frame does not leave the host any more, error %v", err)
	}
}
