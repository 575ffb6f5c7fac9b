package rtnl

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A route by several interfaces is listed once for each.
func TestEachHop(t *testing.T) {
	t.Parallel()
	gateways := []netip.Addr{netip.MustParseAddr("10.8.0.9"), netip.MustParseAddr("10.7.0.9")}
	var hops []byte
	for i, g := range gateways {
		hop := &nl.RtNexthop{RtNexthop: unix.RtNexthop{Ifindex: int32(7 + i)}, Children: []nl.NetlinkRequestData{nl.NewRtAttr(unix.RTA_GATEWAY, g.AsSlice())}}
		hops = append(hops, hop.Serialize()...)
	}
	header := nl.NewRtMsg()
	header.Family, header.Dst_len = unix.AF_INET, 9
	destination := netip.MustParsePrefix("10.128.0.0/9")
	message := append(header.Serialize(), nl.NewRtAttr(unix.RTA_DST, destination.Addr().AsSlice()).Serialize()...)
	message = append(message, nl.NewRtAttr(unix.RTA_MULTIPATH, hops).Serialize()...)

	var got []Listed
	if err := eachHop(header, message, func(l Listed) { got = append(got, l) }); err != nil {
		t.Fatal(err)
	}
	want := []Listed{{7, destination, gateways[0]}, {8, destination, gateways[1]}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
}
