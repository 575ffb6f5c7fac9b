package rtnl

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Flags sets a link up or down.
func Flags(index int, up bool) *nl.NetlinkRequest {
	req := Request(unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index, msg.Change = int32(index), unix.IFF_UP
	if up {
		msg.Flags = unix.IFF_UP
	}
	req.AddData(msg)
	return req
}

// IPv4Settings gives the link of a request that is about an existing one settings of IPv4, by
// their numbers (include/uapi/linux/ip.h): those below /proc/sys/net/ipv4/conf.
func IPv4Settings(req *nl.NetlinkRequest, settings map[int]uint32) *nl.NetlinkRequest {
	if len(settings) == 0 {
		return req
	}
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	for number, value := range settings {
		conf.AddRtAttr(number, nl.Uint32Attr(value))
	}
	req.AddData(spec)
	return req
}

// Up sets the link of that name up.
func Up(name string) *nl.NetlinkRequest {
	req := Flags(0, true)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return req
}

// AllMulticast lets all multicast frames into a device. One above another device, as
// a macvlan is, lets in those of the groups that it has joined itself, and of those
// that whoever reads a macvtap's file has joined the kernel knows nothing: nobody
// could ask for its IPv6 addresses.
func AllMulticast(name string) *nl.NetlinkRequest {
	req := Request(unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Flags, msg.Change = unix.IFF_ALLMULTI, unix.IFF_ALLMULTI
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return req
}

// Get asks for a link; the answer itself is not looked at.
func Get(name string) *nl.NetlinkRequest {
	req := Request(unix.RTM_GETLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return req
}

// NoLinkLocal keeps IPv6 addresses off the host's end of a port: it is
// the bridge that has the addresses. Kernels without IPv6 refuse it.
func NoLinkLocal(name string) *nl.NetlinkRequest {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	req := Request(unix.RTM_SETLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(none))
	req.AddData(spec)
	return req
}

// Announce gives a link the MAC address that it has: the kernel tells the
// neighbours then, where arp_notify and ndisc_notify are on.
func Announce(index int, mac net.HardwareAddr) *nl.NetlinkRequest {
	req := Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	return req
}

// ForgetNeighbours removes what the kernel knows of who has the addresses on a link.
// That it knows nothing is no failure.
func ForgetNeighbours(index int, addresses []netip.Addr) []*nl.NetlinkRequest {
	requests := make([]*nl.NetlinkRequest, len(addresses))
	for i, a := range addresses {
		req := Request(unix.RTM_DELNEIGH, 0)
		req.AddData(&netlink.Ndmsg{Family: uint8(FamilyOf(a)), Index: uint32(index)})
		req.AddData(nl.NewRtAttr(netlink.NDA_DST, a.AsSlice()))
		requests[i] = Optional(req)
	}
	return requests
}

// Hairpin lets a bridge send frames back by the port of that index, by which they came in.
func Hairpin(index int) *nl.NetlinkRequest {
	req := Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(index)
	req.AddData(msg)
	port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	port.AddRtAttr(nl.IFLA_BRPORT_MODE, []byte{1})
	req.AddData(port)
	return req
}
