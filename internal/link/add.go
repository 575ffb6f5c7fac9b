package link

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Numbers of include/uapi/linux/if_link.h.
const (
	addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE
	macvlanPrivate  = 1
	macvlanBridge   = 4
)

// AddBridgePort makes a port of a bridge: a veth pair whose inner end is born
// in the namespace of inner, without addresses, and whose outer end is in the
// bridge. Both are up, and the bridge forwards at once. Port names belong to one attachment each, so a port
// of that name is what a dead sandbox left; it is removed first.
func (h *Handle) AddBridgePort(bridge, port string, inner Peer) error {
	master, err := h.byName(bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", bridge, err)
	}
	add := func() error {
		return h.raw.do(
			vethRequest(master.Attrs().Index, port, inner),
			optional(noLinkLocalRequest(port)),
			upRequest(port),
		)
	}
	err = add()
	if errors.Is(err, unix.EEXIST) {
		if left, findErr := h.Interface(port); findErr == nil {
			if err := h.DeleteIndex(left.Index); err != nil {
				return fmt.Errorf("port %s: remove left-over: %w", port, err)
			}
			err = add()
		}
	}
	var failed stepError
	made := err == nil || errors.As(err, &failed) && failed.step > 0
	if err == nil {
		err = h.carry(port, inner)
	}
	if err == nil {
		return nil
	}
	err = explain(err, "veth", fmt.Sprintf("port %s of bridge %s with interface %s", port, bridge, inner.Name))
	if made {
		err = errors.Join(err, h.Delete(port))
	}
	return err
}

// carry sets the inner end up, which gives both ends a carrier, and has the
// kernel act on that now: it does so before it answers a request for the link
// (rtnl_getlink), else when it comes to it, and drops frames until then.
func (h *Handle) carry(port string, inner Peer) error {
	inside, err := newBatcher(vns.NsHandle(inner.Namespace.FD()))
	if err != nil {
		return err
	}
	defer inside.close()
	if err := inside.do(upRequest(inner.Name), getRequest(inner.Name)); err != nil {
		return err
	}
	return h.raw.do(getRequest(port))
}

// AddMacvlan makes a macvlan on parent that is born in the namespace of inner,
// down and without addresses.
func (h *Handle) AddMacvlan(parent string, mode resource.MacvlanMode, inner Peer) error {
	return h.addMacvlan("macvlan", parent, mode, inner)
}

// addMacvlan makes a link of a kind that is one by mode and parent.
func (h *Handle) addMacvlan(kind, parent string, mode resource.MacvlanMode, inner Peer) error {
	number, err := macvlanMode(mode)
	if err != nil {
		return err
	}
	below, err := h.byName(parent)
	if err != nil {
		return fmt.Errorf("parent %s: %w", parent, err)
	}
	req := request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(below.Attrs().Index))))
	for _, a := range inner.attributes() {
		req.AddData(a)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(number))
	req.AddData(info)
	if err := h.raw.do(req); err != nil {
		return explain(err, kind, fmt.Sprintf("%s %s on parent %s", kind, inner.Name, parent))
	}
	return nil
}

func macvlanMode(m resource.MacvlanMode) (uint32, error) {
	switch m {
	case resource.MacvlanBridge:
		return macvlanBridge, nil
	case resource.MacvlanPrivate:
		return macvlanPrivate, nil
	}
	return 0, fmt.Errorf("macvlan mode %q: want %q or %q: %w",
		m, resource.MacvlanBridge, resource.MacvlanPrivate, errdefs.ErrInvalidArgument)
}

// attributes are those of a device that is born in the peer's namespace.
func (p Peer) attributes() []*nl.RtAttr {
	all := []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.Name)),
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(p.Namespace.FD()))),
	}
	if hw := p.MAC.HardwareAddr(); hw != nil {
		all = append(all, nl.NewRtAttr(unix.IFLA_ADDRESS, hw))
	}
	if p.MTU != 0 {
		all = append(all, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.MTU))))
	}
	return all
}

func vethRequest(master int, port string, inner Peer) *nl.NetlinkRequest {
	req := request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(port)))
	req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
	if inner.MTU != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(inner.MTU))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	for _, a := range inner.attributes() {
		peer.AddChild(a)
	}
	req.AddData(info)
	return req
}

// noLinkLocalRequest keeps IPv6 addresses off the host's end of a port: it is
// the bridge that has the addresses. Kernels without IPv6 refuse it.
func noLinkLocalRequest(name string) *nl.NetlinkRequest {
	req := request(unix.RTM_SETLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(addrGenModeNone))
	req.AddData(spec)
	return req
}

func upRequest(name string) *nl.NetlinkRequest {
	req := flagsRequest(0, true)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return req
}

// getRequest asks for a link; the answer itself is not looked at.
func getRequest(name string) *nl.NetlinkRequest {
	req := request(unix.RTM_GETLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return req
}

func flagsRequest(index int, up bool) *nl.NetlinkRequest {
	req := request(unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index, msg.Change = int32(index), unix.IFF_UP
	if up {
		msg.Flags = unix.IFF_UP
	}
	req.AddData(msg)
	return req
}

// explain gives an error of the kernel about making a device its kind.
func explain(err error, kind, what string) error {
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: name is taken: %w: %w", what, errdefs.ErrAlreadyExists, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: the kernel cannot make a %s; is the module there (modprobe %s)? %w: %w",
			what, kind, kind, errdefs.ErrNotImplemented, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: is in use in another way, for example as the port of a bridge: %w: %w",
			what, errdefs.ErrFailedPrecondition, err)
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("%s: %w: %w", what, errdefs.ErrInvalidArgument, err)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s: mac address is in use: %w: %w", what, errdefs.ErrAlreadyExists, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
