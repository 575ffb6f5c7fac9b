package rtnl

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// What the messages for one interface of a container cost before the kernel sees them.
func BenchmarkEncode(b *testing.B) {
	addresses := []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24"), netip.MustParsePrefix("fd09::2/64")}
	routes := []resource.Route{
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.9.0.1")},
		{Destination: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fd09::1")},
	}
	b.ReportAllocs()
	for b.Loop() {
		requests := []*nl.NetlinkRequest{Flags(2, true)}
		for _, a := range addresses {
			requests = append(requests, Address(unix.RTM_NEWADDR, 2, a))
		}
		for _, r := range routes {
			requests = append(requests, Route(2, r))
		}
		size := 0
		for _, r := range requests {
			size += len(r.Serialize())
		}
		if size == 0 {
			b.Fatal("no message")
		}
	}
}
