package rtnl

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// PrefixOf returns the destination of a route or the subnet of an
// address; zero for any other message.
func PrefixOf(m syscall.NetlinkMessage) netip.Prefix {
	var header int
	var bits uint8
	var kinds []uint16
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if header = unix.SizeofRtMsg; len(m.Data) >= header {
			bits, kinds = nl.DeserializeRtMsg(m.Data).Dst_len, []uint16{unix.RTA_DST}
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if header = unix.SizeofIfAddrmsg; len(m.Data) >= header {
			bits, kinds = nl.DeserializeIfAddrmsg(m.Data).Prefixlen, []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS}
		}
	}
	if kinds == nil {
		return netip.Prefix{}
	}
	attributes, err := nl.ParseRouteAttr(m.Data[header:])
	if err != nil {
		return netip.Prefix{}
	}
	for _, a := range attributes {
		if address, ok := netip.AddrFromSlice(a.Value); ok && slices.Contains(kinds, a.Attr.Type) {
			return netip.PrefixFrom(address, int(bits)).Masked()
		}
	}
	return netip.Prefix{}
}
