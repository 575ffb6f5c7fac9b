package link

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/resource"
)

// Numbers of include/uapi/linux/if_link.h.
const (
	macvlanPrivate  = 1
	macvlanBridge   = 4
	macvlanPassthru = 8
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
		return h.raw.Do(vethRequest(master.Attrs().Index, port, inner), rtnl.Optional(rtnl.NoLinkLocal(port)))
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
	made := err == nil
	if made {
		err = h.carry(port, inner)
	}
	if err == nil {
		return nil
	}
	err = rtnl.Explain(err, "veth", fmt.Sprintf("port %s of bridge %s with interface %s", port, bridge, inner.Name))
	if made {
		err = errors.Join(err, h.Delete(port))
	}
	return err
}

// carry sets both ends up, which gives them a carrier, and has the
// kernel act on that now: it does so before it answers a request for the link
// (rtnl_getlink), else when it comes to it, and drops frames until then.
func (h *Handle) carry(port string, inner Peer) error {
	if err := h.upWithoutIPv6(port); err != nil {
		return err
	}
	inside, err := rtnl.Open(vns.NsHandle(inner.Namespace.FD()))
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := inside.Do(rtnl.Up(inner.Name), rtnl.Get(inner.Name)); err != nil {
		return err
	}
	return h.raw.Do(rtnl.Get(port))
}

// upWithoutIPv6 sets the host's end of a port up, further requests before that. It is the
// bridge that has addresses.
func (h *Handle) upWithoutIPv6(port string, before ...*nl.NetlinkRequest) error {
	if err := h.Inside(func() error { return sysctl.WithoutIPv6(port) }); err != nil {
		return err
	}
	return h.raw.Do(append(before, rtnl.Up(port))...)
}

// AddMacvlan makes a macvlan on parent that is born in the namespace of inner,
// down and without addresses.
func (h *Handle) AddMacvlan(parent string, mode resource.MacvlanMode, inner Peer) error {
	number, err := macvlanMode(mode)
	if err != nil {
		return err
	}
	return h.addMacvlan("macvlan", parent, number, inner)
}

// addMacvlan makes a link of a kind that is one by mode and parent.
func (h *Handle) addMacvlan(kind, parent string, mode uint32, inner Peer) error {
	below, err := h.byName(parent)
	if err != nil {
		return fmt.Errorf("parent %s: %w", parent, err)
	}
	req := rtnl.Request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(below.Attrs().Index))))
	for _, a := range inner.attributes() {
		req.AddData(a)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(mode))
	req.AddData(info)
	if err := h.raw.Do(req); err != nil {
		return rtnl.Explain(err, kind, fmt.Sprintf("%s %s on parent %s", kind, inner.Name, parent))
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
	req := rtnl.Request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
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
