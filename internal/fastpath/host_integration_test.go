//go:build integration

package fastpath

import (
	"fmt"
	"net/netip"
	"os/exec"
	"testing"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/resource"
)

// apart takes the boxes' ports off the bridge and sets it up: what comes from one to the
// other has taken the fast path. It returns the bridge as a party, with its wire.
func apart(t *testing.T, host *netns.Namespace, boxes ...box) box {
	t.Helper()
	netnstest.Do(t, host, func() error {
		for _, b := range boxes {
			name := fmt.Sprintf("port%d", b.IPv4[3])
			if out, err := exec.Command("ip", "link", "set", "dev", name, "nomaster").CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", name, err, out)
			}
		}
		out, err := exec.Command("ip", "link", "set", "dev", bridgeName, "up").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return box{
		Party: hostile.NewParty(resource.Attachment{
			MACAddress:  bridgeOf(t, host).MAC,
			IPv4Address: netip.MustParsePrefix("10.9.0.1/24"), IPv6Address: netip.MustParsePrefix("fd09::1/64"),
			IPv4Gateway: netip.MustParseAddr("10.9.0.1"), IPv6Gateway: netip.MustParseAddr("fd09::1"),
		}),
		wire: netnstest.OpenWire(t, host, bridgeName),
	}
}

// udp is a datagram of a's in a frame to b, under any address as its source and for any.
func udp(a, b box, source, target []byte) []byte {
	return hostile.Ethernet(b.MAC, a.MAC, 0x0800, hostile.IPv4(source, target, hostile.ProtocolUDP, 0, hostile.UDP(source, target, 4000, 4001, "x")))
}

// What is for the bridge's MAC address comes in by the bridge, whatever its IP address, if it
// is plain and its sender's own. The host has the last word about it: its packet filter sees it.
func TestToTheHost(t *testing.T) {
	host := netnstest.New(t)
	a, b := newBox(t, host, 2), newBox(t, host, 3)
	p := open(t, host)
	join(t, host, p, a.port, b.port)
	gateway := apart(t, host, a, b)
	fast := map[string]bool{"IPv4": true, "IPv6": true}
	for name, frame := range hostile.Honest(a.Party, gateway.Party) {
		if got := passes(t, a, gateway, frame, a); got != fast[name] {
			t.Errorf("honest, %s: on the fast path %t, want %t", name, got, fast[name])
		}
	}
	if !passes(t, a, gateway, udp(a, gateway, a.IPv4, []byte{192, 0, 2, 9}), a) {
		t.Error("for a place behind the host: does not take the fast path")
	}
	for name, frame := range map[string][]byte{
		"from another's IP address":   udp(a, gateway, b.IPv4, gateway.IPv4),
		"from another's MAC address":  udp(b, gateway, a.IPv4, gateway.IPv4),
		"from both of another's":      udp(b, gateway, b.IPv4, gateway.IPv4),
		"from the gateway's":          udp(gateway, gateway, gateway.IPv4, gateway.IPv4),
		"from nobody's address":       udp(a, gateway, []byte{10, 9, 0, 9}, gateway.IPv4),
		"from a loopback address":     udp(a, gateway, []byte{127, 0, 0, 1}, gateway.IPv4),
		"from IPv6 addresses as such": hostile.Ethernet(gateway.MAC, a.MAC, 0x86dd, hostile.IPv6(b.IPv6, gateway.IPv6, hostile.ProtocolUDP, hostile.UDP(b.IPv6, gateway.IPv6, 1, 1, "x"))),
		"to another MAC address":      hostile.Ethernet([]byte{2, 0, 0, 0, 0, 9}, a.MAC, 0x0800, udp(a, gateway, a.IPv4, gateway.IPv4)[14:]),
	} {
		if passes(t, a, gateway, frame, a) {
			t.Errorf("%s: takes the fast path", name)
		}
	}
	if err := p.Leave(a.port.Addresses); err != nil {
		t.Fatal(err)
	}
	if passes(t, a, gateway, udp(a, gateway, a.IPv4, gateway.IPv4), b) {
		t.Error("who has left still reaches the host by it")
	}
}

// What the host sends takes the fast path to the owner of both addresses alone, in
// fragments too, and shaped ports have their queue at the egress by which it goes.
func TestFromTheHost(t *testing.T) {
	host := netnstest.New(t)
	a, b := newBox(t, host, 2), newBox(t, host, 3)
	p := open(t, host)
	b.port.Shaped = true
	join(t, host, p, a.port, b.port)
	gateway := apart(t, host, a, b)
	fast := map[string]bool{
		"IPv4": true, "IPv4, later fragment": true, "echo request": true,
		"IPv6": true, "IPv6, first fragment": true, "IPv6, later fragment": true,
	}
	for name, frame := range hostile.Honest(gateway.Party, b.Party) {
		if got := passes(t, gateway, b, frame, gateway); got != fast[name] {
			t.Errorf("%s: on the fast path %t, want %t", name, got, fast[name])
		}
	}
	for name, frame := range map[string][]byte{
		"to another's MAC address":      udp(gateway, a, gateway.IPv4, b.IPv4),
		"to nobody's address":           udp(gateway, b, gateway.IPv4, []byte{10, 9, 0, 9}),
		"cut within the IPv4 header":    udp(gateway, b, gateway.IPv4, b.IPv4)[:14+18],
		"cut within the IPv6 addresses": hostile.Ethernet(b.MAC, gateway.MAC, 0x86dd, hostile.IPv6(gateway.IPv6, b.IPv6, hostile.ProtocolUDP, nil))[:14+38],
	} {
		if passes(t, gateway, b, frame, gateway) {
			t.Errorf("%s: takes the fast path", name)
		}
	}
	// The bridge outlives its ports, and must be told.
	netnstest.Do(t, host, func() error { return Detach(bridgeOf(t, host).Index) })
	if passes(t, gateway, b, udp(gateway, b, gateway.IPv4, b.IPv4), a) {
		t.Error("the bridge was taken off and still sends")
	}
}
