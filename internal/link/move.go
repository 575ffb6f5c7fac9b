package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/resource"
)

// Move moves an existing interface into the namespace of inner, where it is
// down, without addresses and routes, and has inner's name, MAC address and MTU;
// those that are empty stay. After an error it may be on either side.
func (h *Handle) Move(name string, inner Peer) error {
	l, err := h.byName(name)
	if err != nil {
		return err
	}
	return h.MoveIndex(l.Attrs().Index, inner)
}

// MoveIndex is Move for the interface with that index. Without a namespace it
// stays where it is, and is set down only where its name must change. An error
// that is errdefs.ErrAlreadyExists tells that the name is taken there.
func (h *Handle) MoveIndex(index int, inner Peer) error {
	l, err := query(h, func(s *netlink.Handle) (netlink.Link, error) { return s.LinkByIndex(index) })
	if err != nil {
		if gone(err) {
			return fmt.Errorf("interface %d: %w", index, errdefs.ErrNotFound)
		}
		return fmt.Errorf("interface %d: %w", index, err)
	}
	req := rtnl.Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	renamed := inner.Name != "" && inner.Name != l.Attrs().Name
	req.AddData(msg)
	for _, a := range inner.changes(l.Attrs(), renamed) {
		req.AddData(a)
	}
	if inner.Namespace == nil && renamed {
		if err := h.raw.Do(rtnl.Flags(index, false)); err != nil {
			return fmt.Errorf("interface %s: set down: %w", l.Attrs().Name, err)
		}
	}
	what := fmt.Sprintf("move interface %s", l.Attrs().Name)
	if renamed {
		what += " as " + inner.Name
	}
	switch err := h.raw.Do(req); {
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: the kernel refuses; it does not move every kind, nor give each any mac address and mtu: %w: %w",
			what, errdefs.ErrFailedPrecondition, err)
	case err != nil:
		return rtnl.Explain(err, l.Type(), what)
	}
	return nil
}

// changes are the attributes of a peer that differ from those of a device.
func (p Peer) changes(now *netlink.LinkAttrs, renamed bool) []*nl.RtAttr {
	var all []*nl.RtAttr
	if p.Namespace != nil {
		all = append(all, nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(p.Namespace.FD()))))
	}
	if renamed || p.Namespace != nil && p.Name != "" {
		all = append(all, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.Name)))
	}
	if hw := p.MAC.HardwareAddr(); hw != nil && hw.String() != now.HardwareAddr.String() {
		all = append(all, nl.NewRtAttr(unix.IFLA_ADDRESS, hw))
	}
	if p.MTU != 0 && p.MTU != now.MTU {
		all = append(all, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.MTU))))
	}
	return all
}

// SetAlias sets the ifalias of the interface with that index.
func (h *Handle) SetAlias(index int, alias string) error {
	device := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	err := h.tell(func(s *netlink.Handle) error { return s.LinkSetAlias(device, alias) })
	if err != nil {
		return fmt.Errorf("interface %d: set alias: %w", index, err)
	}
	return nil
}

// Restore sets an interface of the host up and gives it the addresses and
// routes that it had; those that it has already are no error. Unlike with
// Configure its sysctls stay as they are.
func (h *Handle) Restore(index int, addresses []netip.Prefix, routes []resource.Route) error {
	requests := []*nl.NetlinkRequest{rtnl.Flags(index, true)}
	for _, a := range addresses {
		requests = append(requests, rtnl.Address(unix.RTM_NEWADDR, index, a))
	}
	for _, r := range routes {
		requests = append(requests, rtnl.Route(index, r))
	}
	var errs []error
	for _, r := range requests {
		if err := h.raw.Do(r); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, rtnl.KindOf(err))
		}
	}
	return errors.Join(errs...)
}
