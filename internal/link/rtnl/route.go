package rtnl

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Address is a request of the kind RTM_NEWADDR or RTM_DELADDR. No duplicate
// address detection runs for a new one.
func Address(kind, index int, p netip.Prefix) *nl.NetlinkRequest {
	flags := 0
	if kind == unix.RTM_NEWADDR {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	req := Request(kind, flags)
	msg := nl.NewIfAddrmsg(FamilyOf(p.Addr()))
	msg.Index, msg.Prefixlen = uint32(index), uint8(p.Bits())
	if p.Addr().Is6() {
		msg.IfAddrmsg.Flags = unix.IFA_F_NODAD
	}
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, p.Addr().AsSlice()))
	if b := broadcast(p); b != nil {
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, b))
	}
	return req
}

// broadcast is the broadcast address of an IPv4 subnet that has one (RFC 3021).
func broadcast(p netip.Prefix) []byte {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return nil
	}
	b := p.Addr().As4()
	for i, m := range net.CIDRMask(p.Bits(), 32) {
		b[i] |= ^m
	}
	return b[:]
}

// Route makes a route of the main table.
func Route(index int, r resource.Route) *nl.NetlinkRequest {
	return RouteMessage(Request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL), index, unix.RT_TABLE_MAIN, r)
}

// RouteMessage fills a request about a route of an interface.
func RouteMessage(req *nl.NetlinkRequest, index, table int, r resource.Route) *nl.NetlinkRequest {
	msg := nl.NewRtMsg()
	msg.Family = uint8(FamilyOf(r.Destination.Addr()))
	msg.Dst_len = uint8(r.Destination.Bits())
	msg.Protocol = unix.RTPROT_STATIC
	msg.Table = unix.RT_TABLE_UNSPEC
	if !r.Gateway.IsValid() && r.Destination.Addr().Is4() {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	req.AddData(msg)
	if r.Destination.Bits() > 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_DST, r.Destination.Addr().AsSlice()))
	}
	if r.Gateway.IsValid() {
		req.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.Gateway.AsSlice()))
	}
	req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	req.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(uint32(table))))
	return req
}

// FamilyOf is AF_INET or AF_INET6.
func FamilyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Rule leads packets to a routing table.
type Rule struct {
	Family   int        // unix.AF_INET or unix.AF_INET6
	Source   netip.Addr // of packets; zero: any
	Bound    string     // interface that the packet's socket is bound to; empty: any
	Priority uint32     // the lowest first
	Table    int
}

// RuleMessage fills a request about a rule (struct fib_rule_hdr has the form of struct
// rtmsg).
func RuleMessage(req *nl.NetlinkRequest, r Rule) *nl.NetlinkRequest {
	msg := &nl.RtMsg{}
	msg.Family, msg.Type = uint8(r.Family), nl.FR_ACT_TO_TBL
	msg.Src_len = uint8(max(0, r.Source.BitLen()))
	req.AddData(msg)
	if r.Source.IsValid() {
		req.AddData(nl.NewRtAttr(nl.FRA_SRC, r.Source.AsSlice()))
	}
	if r.Bound != "" {
		req.AddData(nl.NewRtAttr(nl.FRA_OIFNAME, nl.ZeroTerminated(r.Bound)))
	}
	req.AddData(nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(r.Priority)))
	req.AddData(nl.NewRtAttr(nl.FRA_TABLE, nl.Uint32Attr(uint32(r.Table))))
	req.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(unix.RTPROT_STATIC)))
	return req
}

// NowhereMessage fills a request about a default route that refuses packets.
func NowhereMessage(req *nl.NetlinkRequest, family, table int, metric uint32) *nl.NetlinkRequest {
	msg := &nl.RtMsg{}
	msg.Family, msg.Type, msg.Protocol = uint8(family), unix.RTN_UNREACHABLE, unix.RTPROT_STATIC
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(metric)))
	req.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(uint32(table))))
	return req
}
