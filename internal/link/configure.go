package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Configure sets an interface up and gives it addresses and routes, the
// routes in their order. IPv6 addresses can be used when it returns: no
// duplicate address detection runs for them, their network has seen to it.
// Routes with a destination of length 0 are default routes. The addresses are
// announced, so that neighbours forget whom they belonged to before; router
// advertisements are not listened to. The sysctls override what an interface of
// a sandbox has otherwise.
func (h *Handle) Configure(name string, addresses []netip.Prefix, routes []resource.Route, sysctls ...Sysctl) error {
	l, err := h.byName(name)
	if err != nil {
		return err
	}
	if err := h.prepare(name, sysctls); err != nil {
		return err
	}
	settling, err := h.watchSettling(addresses)
	if err != nil {
		return err
	}
	defer settling.close()
	if err := h.configure(l, addresses, routes); err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := settling.wait(); err != nil {
		return err
	}
	return h.raw.do(optional(announceRequest(l)))
}

func (h *Handle) configure(l netlink.Link, addresses []netip.Prefix, routes []resource.Route) error {
	index := l.Attrs().Index
	steps := []step{{request: flagsRequest(index, true), what: "set up"}}
	for _, a := range addresses {
		steps = append(steps, step{request: addressRequest(unix.RTM_NEWADDR, index, a), what: fmt.Sprintf("address %s", a)})
	}
	for _, r := range routes {
		steps = append(steps, step{request: routeRequest(index, r), what: fmt.Sprintf("route to %s", r.Destination)})
	}
	return h.raw.run(steps)
}

// announceRequest gives an interface the MAC address that it has: the kernel
// tells the neighbours then, as prepare has asked of it.
func announceRequest(l netlink.Link) *nl.NetlinkRequest {
	req := request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(l.Attrs().Index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, l.Attrs().HardwareAddr))
	return req
}

func addressRequest(kind, index int, p netip.Prefix) *nl.NetlinkRequest {
	flags := 0
	if kind == unix.RTM_NEWADDR {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	req := request(kind, flags)
	msg := nl.NewIfAddrmsg(familyOf(p.Addr()))
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

// routeRequest makes a route of the main table.
func routeRequest(index int, r resource.Route) *nl.NetlinkRequest {
	return routeMessage(request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL), index, unix.RT_TABLE_MAIN, r)
}

// routeMessage fills a request about a route of an interface.
func routeMessage(req *nl.NetlinkRequest, index, table int, r resource.Route) *nl.NetlinkRequest {
	msg := nl.NewRtMsg()
	msg.Family = uint8(familyOf(r.Destination.Addr()))
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

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// kindOf gives an error of the kernel about addresses and routes its kind.
func kindOf(err error) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", errdefs.ErrAlreadyExists, err)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Errorf("the gateway is not on the interface's subnet: %w: %w", errdefs.ErrInvalidArgument, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the address family is off here (sysctl disable_ipv6?): %w: %w", errdefs.ErrFailedPrecondition, err)
	}
	return err
}
