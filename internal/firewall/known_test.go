package firewall

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"patchbay.dev/patchbay/internal/firewall/ruleset"
)

// Update is for the tests of the package from outside too.
var Update = flag.Bool("update", false, "write the golden files anew")

const (
	uplink = "eth0"
	inside = "pb-nat"    // a network that may leave the host
	other  = "pb-other"  // another one
	closed = "pb-closed" // one that may not
)

func networksOfTest() []element {
	var all []element
	for bridge, reach := range map[string]Reach{inside: NAT, other: NAT, closed: Internal} {
		n := New(Config{Network: bridge, Bridge: bridge, Reach: reach, Host: HostGateway})
		n.ports["0"] = testPort
		all = append(all, n.desired(false)...)
	}
	return all
}

func tables() (inet, bridge ruleset.Table) {
	all := ruleset.Tables(false)
	return all[0], all[1]
}

var testPort = Port{Interface: PortPrefix + "0", MAC: "02:00:00:00:00:0a", Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.2")}}

// What a packet of a known connection passes does not depend on the clock. Each way is to be as cheap as it can: the
// golden file changes where somebody means it.
func TestKnownConnections(t *testing.T) {
	inet, bridge := tables()
	pre, forward, input := nftables.ChainHookPrerouting, nftables.ChainHookForward, nftables.ChainHookInput
	sent := segment(testPort.Interface, "", 0)
	copy(sent.frame[6:], testPort.MAC.HardwareAddr())
	var out bytes.Buffer
	for _, c := range []struct {
		what   string
		packet packet
		table  ruleset.Table
		hook   *nftables.ChainHook
	}{
		{"any that comes to the host", segment(uplink, "", 0), inet, pre},
		{"published port, from outside", segment(uplink, inside, statusDNAT), inet, forward},
		{"published port, its answer", segment(inside, uplink, statusDNAT), inet, forward},
		{"published port, from another network", segment(other, inside, statusDNAT), inet, forward},
		{"container to outside", segment(inside, uplink, 0), inet, forward},
		{"container to outside, the answer", segment(uplink, inside, 0), inet, forward},
		{"container to the host", segment(inside, "", 0), inet, input},
		{"others' packets to the host", segment(uplink, "", 0), inet, input},
		{"others' packets through the host", segment(uplink, "eth1", 0), inet, forward},
		{"frame of a port, without a fast path", sent, bridge, pre},
	} {
		cost, verdict := pass(t, c.packet, c.table, c.hook, networksOfTest())
		if verdict != expr.VerdictAccept {
			t.Errorf("%s: verdict %v, want it to pass", c.what, verdict)
		}
		fmt.Fprintf(&out, "%s: %d chains, %d expressions, %d lookups\n", c.what, cost.chains, cost.expressions, cost.lookups)
	}
	const golden = "testdata/known.golden"
	if *Update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", out.Bytes(), want)
	}
}

// Networks are kept apart whatever a connection has become while nobody kept them apart.
func TestKnownConnectionsBetweenNetworks(t *testing.T) {
	inet, _ := tables()
	for _, c := range []struct {
		what string
		in   string
		out  string
		want expr.VerdictKind
	}{
		{"two networks", inside, other, expr.VerdictDrop},
		{"to one that does not reach the outside", inside, closed, expr.VerdictDrop},
		{"from it", closed, inside, expr.VerdictDrop},
		{"from it to the outside", closed, uplink, expr.VerdictDrop},
		{"from the outside to it", uplink, closed, expr.VerdictDrop},
		{"within one", inside, inside, expr.VerdictAccept},
		{"within one that does not reach the outside", closed, closed, expr.VerdictAccept},
	} {
		if _, got := pass(t, segment(c.in, c.out, 0), inet, nftables.ChainHookForward, networksOfTest()); got != c.want {
			t.Errorf("%s: verdict %v, want %v", c.what, got, c.want)
		}
	}
}

// A network cannot take part in what the host has with itself, known as that is.
func TestKnownConnectionOfTheHostWithItself(t *testing.T) {
	inet, _ := tables()
	for in, want := range map[string]expr.VerdictKind{inside: expr.VerdictDrop, closed: expr.VerdictDrop, "lo": expr.VerdictAccept} {
		p := segment(in, "", 0)
		copy(p.frame[frameHeader+12:], []byte{127, 0, 0, 1, 127, 0, 0, 1})
		if _, got := pass(t, p, inet, nftables.ChainHookInput, networksOfTest()); got != want {
			t.Errorf("from %s: verdict %v, want %v", in, got, want)
		}
	}
}
