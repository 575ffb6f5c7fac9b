package rtnl

import (
	"net"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Bridge makes a bridge that forwards at once and floods multicast. Without a MAC address
// the kernel chooses one. The alias of a link cannot be given at birth, the kernel ignores it.
func Bridge(name string, mac net.HardwareAddr) *nl.NetlinkRequest {
	req := Request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	if mac != nil {
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0))
	req.AddData(info)
	return req
}

// longest is what an interface with LongSegments takes at once, in bytes: more gains little.
// Else it is 64 KiB, what the length field of IPv4 can say.
const longest = 256 << 10

// LongSegments is an attribute of an interface that takes segments of a TCP connection by
// IPv4 longer than a packet can be (BIG TCP, Linux 6.3; older kernels do not read it). All
// interfaces on the way have to: one that does not has the kernel cut them into packets, which
// takes five times as long as to cut them into shorter segments at their origin.
func LongSegments() *nl.RtAttr {
	return nl.NewRtAttr(unix.IFLA_GSO_IPV4_MAX_SIZE, nl.Uint32Attr(longest))
}

// TakeLongSegments are requests that give LongSegments to the links of those names, once to each.
// They may be refused: by a tap, and by a bridge for as long as one is a port of it, as the kernel
// has set that a limit then (br_set_gso_limits).
func TakeLongSegments(names ...string) []*nl.NetlinkRequest {
	var all []*nl.NetlinkRequest
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		req := Request(unix.RTM_NEWLINK, 0)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
		req.AddData(LongSegments())
		all = append(all, Optional(req))
	}
	return all
}

// OneQueue are attributes of an end of a veth pair, made with the one queue of each direction
// that it uses. Else the kernel makes one for each processor, takes the others away again,
// and waits each time until nobody uses them (veth_init_queues of drivers/net/veth.c).
func OneQueue() []*nl.RtAttr {
	return []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1)),
		nl.NewRtAttr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1)),
	}
}
