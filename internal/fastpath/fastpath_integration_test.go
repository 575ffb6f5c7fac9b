//go:build integration

package fastpath

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/resource"
)

const soon = 2 * time.Minute

// bridgeName is that of the bridge of all boxes.
const bridgeName = "down"

// bridgeOf is the bridge of the host, down as it is or not.
func bridgeOf(t *testing.T, host *netns.Namespace) Bridge {
	t.Helper()
	have, err := netnstest.Link(t, host).Interface(bridgeName)
	if err != nil {
		t.Fatal(err)
	}
	return Bridge{Index: have.Index, MAC: have.MAC}
}

// box is a namespace with a wire to a port on the host. The bridge is down: what comes
// from one to another has taken the fast path.
type box struct {
	hostile.Party
	port Port
	wire *netnstest.Wire
}

func newBox(t *testing.T, host *netns.Namespace, number int) box {
	t.Helper()
	name, inside := fmt.Sprintf("port%d", number), netnstest.New(t)
	a := resource.Attachment{
		IPv4Address: netip.MustParsePrefix(fmt.Sprintf("10.9.0.%d/24", number)),
		IPv6Address: netip.MustParsePrefix(fmt.Sprintf("fd09::%d/64", number)),
		IPv4Gateway: netip.MustParseAddr("10.9.0.1"), IPv6Gateway: netip.MustParseAddr("fd09::1"),
		MACAddress: macaddress.Stable("fastpath", name),
	}
	h := netnstest.Link(t, host)
	if number == 2 { // the first
		spec := link.BridgeSpec{Name: bridgeName, Alias: "test", MAC: macaddress.Stable("fastpath", bridgeName), MTU: 1500}
		if err := h.EnsureBridge(spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.AddBridgePort(bridgeName, name, link.Peer{Namespace: inside, Name: "eth0", MAC: a.MACAddress}); err != nil {
		t.Fatal(err)
	}
	port, err := h.Interface(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetDown(bridgeName); err != nil {
		t.Fatal(err)
	}
	return box{
		Party: hostile.NewParty(a),
		port:  Port{Index: port.Index, MAC: a.MACAddress, Addresses: []netip.Addr{a.IPv4Address.Addr(), a.IPv6Address.Addr()}},
		wire:  netnstest.OpenWire(t, inside, "eth0"),
	}
}

func join(t *testing.T, host *netns.Namespace, p *Path, ports ...Port) {
	t.Helper()
	for _, port := range ports {
		netnstest.Do(t, host, func() error { return p.Join(port) })
	}
}

func open(t *testing.T, host *netns.Namespace) *Path {
	t.Helper()
	var p *Path
	netnstest.Do(t, host, func() (err error) { p, err = Open(16, bridgeOf(t, host)); return err })
	t.Cleanup(func() { p.Close() })
	return p
}

// datagram is what a may send to b, told from others by its text.
func datagram(a, b box, text string) []byte {
	return hostile.Ethernet(b.MAC, a.MAC, 0x0800, hostile.IPv4(a.IPv4, b.IPv4, hostile.ProtocolUDP, 0, hostile.UDP(a.IPv4, b.IPv4, 1, 1, text)))
}

var marks int

// passes tells whether a frame of a's reaches b before one of mark's that does.
func passes(t *testing.T, a, b box, frame []byte, mark box) bool {
	t.Helper()
	marks++
	last := datagram(mark, b, fmt.Sprintf("mark %d", marks))
	if err := errors.Join(a.wire.Send(frame), mark.wire.Send(last)); err != nil {
		t.Fatal(err)
	}
	seen := false
	ok, err := b.wire.Await(func(f []byte) bool {
		seen = seen || bytes.Equal(f, frame)
		return bytes.Equal(f, last)
	}, soon)
	if err != nil || !ok {
		t.Fatalf("the mark does not arrive, error %v", err)
	}
	return seen
}

// Whatever the packet filter would say, only what is surely allowed takes the fast path.
func TestOnlyPlainPackets(t *testing.T) {
	host := netnstest.New(t)
	a, b := newBox(t, host, 2), newBox(t, host, 3)
	p := open(t, host)
	join(t, host, p, a.port, b.port)
	udp4 := func(source, target []byte) []byte {
		return hostile.IPv4(source, target, hostile.ProtocolUDP, 0, hostile.UDP(source, target, 4000, 4001, "x"))
	}
	fast := []string{"IPv4", "IPv6"}
	for _, name := range slices.Sorted(maps.Keys(hostile.Honest(a.Party, b.Party))) {
		frame := hostile.Honest(a.Party, b.Party)[name]
		if got, want := passes(t, a, b, frame, a), slices.Contains(fast, name); got != want {
			t.Errorf("honest, %s: on the fast path %t, want %t", name, got, want)
		}
	}
	for name, attack := range hostile.Attacks(a.Party, b.Party) {
		for _, frame := range attack.Frames {
			if passes(t, a, b, frame, a) {
				t.Errorf("attack, %s: takes the fast path", name)
			}
		}
	}
	mapped := func(a []byte) []byte { b := netip.AddrFrom4([4]byte(a)).As16(); return b[:] }
	options := append([]byte{0x46}, udp4(a.IPv4, b.IPv4)[1:20]...)
	options = append(options, 1, 1, 1, 1)
	for name, frame := range map[string][]byte{
		"from the other's addresses":    hostile.Ethernet(a.MAC, b.MAC, 0x0800, udp4(b.IPv4, a.IPv4)),
		"from the other's MAC address":  hostile.Ethernet(b.MAC, b.MAC, 0x0800, udp4(a.IPv4, b.IPv4)),
		"to another's MAC address":      hostile.Ethernet([]byte{2, 0, 0, 0, 0, 9}, a.MAC, 0x0800, udp4(a.IPv4, b.IPv4)),
		"to everybody":                  hostile.Ethernet([]byte{255, 255, 255, 255, 255, 255}, a.MAC, 0x0800, udp4(a.IPv4, b.IPv4)),
		"to nobody's address":           hostile.Ethernet(b.MAC, a.MAC, 0x0800, udp4(a.IPv4, []byte{10, 9, 0, 9})),
		"to itself":                     hostile.Ethernet(a.MAC, a.MAC, 0x0800, udp4(a.IPv4, a.IPv4)),
		"IPv4 with options":             hostile.Ethernet(b.MAC, a.MAC, 0x0800, append(options, make([]byte, 32)...)),
		"IPv4 addresses within IPv6":    hostile.Ethernet(b.MAC, a.MAC, 0x86dd, hostile.IPv6(mapped(a.IPv4), mapped(b.IPv4), hostile.ProtocolUDP, hostile.UDP(a.IPv6, b.IPv6, 1, 1, "x"))),
		"cut behind the IPv6 addresses": hostile.Ethernet(b.MAC, a.MAC, 0x86dd, hostile.IPv6(a.IPv6, b.IPv6, hostile.ProtocolUDP, nil))[:14+40+4],
		"cut within the UDP header":     hostile.Ethernet(b.MAC, a.MAC, 0x0800, udp4(a.IPv4, b.IPv4))[:14+20+6],
		"cut within the IPv4 header":    hostile.Ethernet(b.MAC, a.MAC, 0x0800, udp4(a.IPv4, b.IPv4))[:14+18],
	} {
		if passes(t, a, b, frame, a) {
			t.Errorf("%s: takes the fast path", name)
		}
	}
}

// Who has left is on it no more, neither as sender nor as receiver, and its addresses are
// the next one's.
func TestLeave(t *testing.T) {
	host := netnstest.New(t)
	a, b, c := newBox(t, host, 2), newBox(t, host, 3), newBox(t, host, 4)
	p := open(t, host)
	join(t, host, p, a.port, b.port, c.port)
	if !passes(t, a, b, datagram(a, b, "before"), c) || !passes(t, b, a, datagram(b, a, "before"), c) {
		t.Fatal("an honest packet does not take the fast path")
	}
	for range 2 {
		if err := p.Leave(a.port.Addresses); err != nil {
			t.Fatal(err)
		}
	}
	if passes(t, a, b, datagram(a, b, "after"), c) {
		t.Error("who has left still sends")
	}
	join(t, host, p, Port{Index: a.port.Index, MAC: a.port.MAC, Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.99")}, Shaped: true})
	if passes(t, a, b, datagram(a, b, "with another address"), c) {
		t.Error("a port sends from an address that it does not have any more")
	}
}

// What a shaped port sends goes by its own queue; what it is sent has a queue of its own
// at the port's egress.
func TestShaped(t *testing.T) {
	host := netnstest.New(t)
	a, b, c := newBox(t, host, 2), newBox(t, host, 3), newBox(t, host, 4)
	p := open(t, host)
	a.port.Shaped = true
	join(t, host, p, a.port, b.port, c.port)
	if passes(t, a, b, datagram(a, b, "out"), c) {
		t.Error("what a shaped port sends takes the fast path")
	}
	if !passes(t, b, a, datagram(b, a, "in"), c) {
		t.Error("what a shaped port is sent does not take the fast path")
	}
}

// The fast path goes on when its process ends, and the next one takes its ports off.
func TestOutlivesItsProcess(t *testing.T) {
	host := netnstest.New(t)
	a, b, c := newBox(t, host, 2), newBox(t, host, 3), newBox(t, host, 4)
	p := open(t, host)
	join(t, host, p, a.port, b.port, c.port)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !passes(t, a, b, datagram(a, b, "after the end"), c) {
		t.Error("the fast path ends with its process")
	}
	for range 2 { // the second time there is nothing
		netnstest.Do(t, host, func() error { return Detach(a.port.Index) })
	}
	if passes(t, a, b, datagram(a, b, "off"), c) {
		t.Error("a port that was taken off still sends")
	}
}
