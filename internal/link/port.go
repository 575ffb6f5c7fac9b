package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/netns"
)

// BridgePort is a port of a bridge whose other end is in a sandbox.
type BridgePort struct {
	Bridge string // host interface name
	Port   string // name of the host's end
	Inner  Peer
}

// AddBridgePort makes one port: AddBridgePorts.
func (h *Handle) AddBridgePort(bridge, port string, inner Peer) error {
	return h.AddBridgePorts(BridgePort{Bridge: bridge, Port: port, Inner: inner})
}

// AddBridgePorts makes ports of bridges, all or none: veth pairs whose inner ends are born
// in the namespaces of their peers, without addresses, and whose outer ends are in the
// bridges. Both are up, and the bridges forward at once. What the host sends by a bridge
// comes in long segments where all of its ports take them. Port names belong to one attachment each, so a port
// of such a name is what a dead sandbox left; it is removed first.
func (h *Handle) AddBridgePorts(ports ...BridgePort) error {
	if len(ports) == 0 {
		return nil
	}
	err := h.addPairs(ports)
	if errors.Is(err, unix.EEXIST) {
		if err := h.removePorts(ports); err != nil {
			return fmt.Errorf("remove left-over: %w", err)
		}
		err = h.addPairs(ports)
	}
	if err == nil {
		err = h.carry(ports)
	}
	if err != nil {
		return errors.Join(err, h.removePorts(ports))
	}
	return nil
}

// addPairs makes the links. After an error some may be there.
func (h *Handle) addPairs(ports []BridgePort) error {
	pairs := make([]*nl.NetlinkRequest, len(ports))
	for i, p := range ports {
		master, err := h.Index(p.Bridge)
		if err != nil {
			return fmt.Errorf("bridge %s: %w", p.Bridge, err)
		}
		pairs[i] = vethRequest(master, p.Port, p.Inner)
	}
	return explainPort(h.raw.Do(pairs...), ports)
}

// explainPort gives an error of requests, as many for each port, its kind.
func explainPort(err error, ports []BridgePort) error {
	if err == nil {
		return nil
	}
	what := "ports of bridges"
	var failed rtnl.StepError
	if errors.As(err, &failed) && failed.Step < len(ports) {
		p := ports[failed.Step]
		what = fmt.Sprintf("port %s of bridge %s with interface %s", p.Port, p.Bridge, p.Inner.Name)
	}
	return rtnl.Explain(err, "veth", what)
}

// removePorts removes those of the ports that are there.
func (h *Handle) removePorts(ports []BridgePort) error {
	var faults []error
	for _, p := range ports {
		if err := h.Delete(p.Port); err != nil {
			faults = append(faults, fmt.Errorf("port %s: %w", p.Port, err))
		}
	}
	return errors.Join(faults...)
}

// carry sets both ends up, which gives them a carrier, and has the
// kernel act on that now: it does so before it answers a request for the link
// (rtnl_getlink), else when it comes to it, and drops frames until then.
func (h *Handle) carry(ports []BridgePort) error {
	names, bridges := make([]string, len(ports)), make([]string, len(ports))
	looks := make([]*nl.NetlinkRequest, len(ports))
	inner := map[insider][]*nl.NetlinkRequest{}
	for i, p := range ports {
		names[i], bridges[i], looks[i] = p.Port, p.Bridge, rtnl.Get(p.Port)
		at := insider{p.Inner.Namespace, p.Inner.Links}
		inner[at] = append(inner[at], rtnl.Up(p.Inner.Name), rtnl.Get(p.Inner.Name))
	}
	if err := h.upWithoutIPv6(names, rtnl.TakeLongSegments(bridges...)...); err != nil {
		return explainPort(err, ports)
	}
	for at, requests := range inner {
		if err := at.do(requests...); err != nil {
			return rtnl.Explain(err, "veth", "inner ends of ports")
		}
	}
	return explainPort(h.raw.Do(looks...), ports)
}

// insider is where the inner end of a port is.
type insider struct {
	namespace *netns.Namespace
	links     *Handle // on it; or nil
}

// do sends requests there.
func (i insider) do(requests ...*nl.NetlinkRequest) error {
	if i.links != nil {
		return i.links.raw.Do(requests...)
	}
	inside, err := rtnl.Open(i.namespace)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer inside.Close()
	return inside.Do(requests...)
}

// upWithoutIPv6 sets the host's ends of ports up, further requests before that. It is the
// bridges that have addresses.
func (h *Handle) upWithoutIPv6(ports []string, before ...*nl.NetlinkRequest) error {
	var up []*nl.NetlinkRequest
	err := h.Inside(func() error {
		for _, port := range ports {
			without, err := sysctl.WithoutIPv6(port)
			if err != nil {
				return err
			}
			if !without {
				before = append(before, rtnl.Optional(rtnl.NoLinkLocal(port)))
			}
			up = append(up, rtnl.Up(port))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.raw.Do(append(before, up...)...)
}

func vethRequest(master int, port string, inner Peer) *nl.NetlinkRequest {
	req := rtnl.Request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(port)))
	req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
	if inner.MTU != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(inner.MTU))))
	}
	// The inner end does not send any: they may leave the host by an interface that does not take them.
	for _, a := range append(rtnl.OneQueue(), rtnl.LongSegments()) {
		req.AddData(a)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	for _, a := range append(inner.attributes(), rtnl.OneQueue()...) {
		peer.AddChild(a)
	}
	req.AddData(info)
	return req
}
