//go:build integration

package firewall_test

import (
	"fmt"
	"net/netip"
	"testing"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// What a container's port costs from the way onto its network to the way off it,
// beside others: a transaction of a few elements each.
func BenchmarkAdmitRevoke(b *testing.B) {
	for _, many := range []int{0, 1000} {
		b.Run(fmt.Sprintf("beside %d", many), func(b *testing.B) {
			ns := netnstest.New(b)
			n := network(ns, "a", firewall.NAT)
			if err := n.Ensure(); err != nil {
				b.Fatal(err)
			}
			for i := range many {
				if err := n.Admit(port(fmt.Sprintf("o%d", i))); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := n.Admit(port("0")); err != nil {
					b.Fatal(err)
				}
				if err := n.Revoke(port("0")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What publishing ten ports of a container costs, and taking them back.
func BenchmarkPublish(b *testing.B) {
	ns := netnstest.New(b)
	n := network(ns, "a", firewall.NAT)
	if err := n.Ensure(); err != nil {
		b.Fatal(err)
	}
	p := port("0")
	if err := n.Admit(p); err != nil {
		b.Fatal(err)
	}
	var forwards []firewall.Forward
	for i := range uint16(10) {
		forwards = append(forwards, firewall.Forward{
			Protocol: resource.ProtocolTCP, Host: netip.AddrPortFrom(netip.IPv4Unspecified(), 8000+i), Target: netip.AddrPortFrom(netip.MustParseAddr("10.9.0.2"), 80),
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Publish(p.Interface, forwards); err != nil {
			b.Fatal(err)
		}
		if err := n.Unpublish(p.Interface); err != nil {
			b.Fatal(err)
		}
	}
}
