package link

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/resource"
)

// Numbers of include/uapi/linux/if_link.h.
const (
	macvlanPrivate  = 1
	macvlanBridge   = 4
	macvlanPassthru = 8
)

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
	below, err := h.Index(parent)
	if err != nil {
		return fmt.Errorf("parent %s: %w", parent, err)
	}
	req := rtnl.Request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(below))))
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
