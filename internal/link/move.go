package link

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/inspect"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/resource"
)

// Move moves an existing interface into the namespace of inner, where it is
// down, without addresses and routes, and has inner's name, MAC address and MTU;
// those that are empty stay. After an error it may be on either side.
func (h *Handle) Move(name string, inner Peer) error {
	index, err := h.Index(name)
	if err != nil {
		return err
	}
	return h.MoveIndex(index, inner)
}

// MoveIndex is Move for the interface with that index. Without a namespace it
// stays where it is, and is set down only where its name must change. An error
// that is errdefs.ErrAlreadyExists tells that the name is taken there.
func (h *Handle) MoveIndex(index int, inner Peer) error {
	now, err := h.InterfaceAt(index)
	if err != nil {
		return err
	}
	req := rtnl.Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	renamed := inner.Name != "" && inner.Name != now.Name
	req.AddData(msg)
	for _, a := range inner.changes(now, renamed) {
		req.AddData(a)
	}
	if inner.Namespace == nil && renamed {
		if err := h.raw.Do(rtnl.Flags(index, false)); err != nil {
			return fmt.Errorf("interface %s: set down: %w", now.Name, err)
		}
	}
	what := fmt.Sprintf("move interface %s", now.Name)
	if renamed {
		what += " as " + inner.Name
	}
	switch err := h.raw.Do(req); {
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: the kernel refuses; it does not move every kind, nor give each any mac address and mtu: %w: %w",
			what, errdefs.ErrFailedPrecondition, err)
	case err != nil:
		return rtnl.Explain(err, cmp.Or(now.Kind, "device"), what)
	}
	return nil
}

// changes are the attributes of a peer that differ from those of a device.
func (p Peer) changes(now inspect.Interface, renamed bool) []*nl.RtAttr {
	var all []*nl.RtAttr
	if p.Namespace != nil {
		all = append(all, nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(p.Namespace.FD()))))
	}
	if renamed || p.Namespace != nil && p.Name != "" {
		all = append(all, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.Name)))
	}
	if hw := p.MAC.HardwareAddr(); hw != nil && p.MAC != now.MAC {
		all = append(all, nl.NewRtAttr(unix.IFLA_ADDRESS, hw))
	}
	if p.MTU != 0 && p.MTU != now.MTU {
		all = append(all, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.MTU))))
	}
	return all
}

// SetAlias sets the ifalias of the interface with that index.
func (h *Handle) SetAlias(index int, alias string) error {
	set := rtnl.Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	set.AddData(msg)
	set.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
	if err := h.raw.Do(set); err != nil {
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
