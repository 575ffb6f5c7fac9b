package rtnl

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// PrefixOf returns the destination of a route or the subnet of an address, zero for any other
// message, and the index of its interface, 0 where it is not one.
func PrefixOf(m syscall.NetlinkMessage) (p netip.Prefix, index int) {
	var header int
	var bits uint8
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if header = unix.SizeofRtMsg; len(m.Data) >= header {
			bits = nl.DeserializeRtMsg(m.Data).Dst_len
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if header = unix.SizeofIfAddrmsg; len(m.Data) >= header {
			message := nl.DeserializeIfAddrmsg(m.Data)
			bits, index = message.Prefixlen, int(message.Index)
		}
	}
	if header == 0 || len(m.Data) < header {
		return netip.Prefix{}, 0
	}
	ofRoute := index == 0
	err := eachAttribute(m.Data[header:], func(kind uint16, value []byte) {
		switch {
		case ofRoute && kind == unix.RTA_OIF && len(value) == 4:
			index = int(binary.NativeEndian.Uint32(value))
		case p.IsValid(): // the first one counts
		case ofRoute && kind == unix.RTA_DST, !ofRoute && (kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS):
			if address, ok := netip.AddrFromSlice(value); ok {
				p = netip.PrefixFrom(address, int(bits)).Masked()
			}
		}
	})
	if err != nil {
		return netip.Prefix{}, 0
	}
	return p, index
}
