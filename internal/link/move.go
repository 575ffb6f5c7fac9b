package link

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

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
	l, err := retried(func() (netlink.Link, error) { return h.nl.LinkByIndex(index) })
	if err != nil {
		if gone(err) {
			return fmt.Errorf("interface %d: %w", index, errdefs.ErrNotFound)
		}
		return fmt.Errorf("interface %d: %w", index, err)
	}
	req := request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	renamed := inner.Name != "" && inner.Name != l.Attrs().Name
	req.AddData(msg)
	for _, a := range inner.changes(l.Attrs(), renamed) {
		req.AddData(a)
	}
	if inner.Namespace == nil && renamed {
		if err := h.raw.do(flagsRequest(index, false)); err != nil {
			return fmt.Errorf("interface %s: set down: %w", l.Attrs().Name, err)
		}
	}
	what := fmt.Sprintf("move interface %s", l.Attrs().Name)
	if renamed {
		what += " as " + inner.Name
	}
	switch err := h.raw.do(req); {
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s: the kernel refuses; it does not move every kind, nor give each any mac address and mtu: %w: %w",
			what, errdefs.ErrFailedPrecondition, err)
	case err != nil:
		return explain(err, l.Type(), what)
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
	err := h.nl.LinkSetAlias(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}, alias)
	if err != nil {
		return fmt.Errorf("interface %d: set alias: %w", index, err)
	}
	return nil
}

// conf has the sysctls of each interface, by family.
var conf = []string{"ipv4/conf", "ipv6/conf"}

// Sysctls returns the settings of an interface by their keys below
// /proc/sys/net, as far as they can be read.
func (h *Handle) Sysctls(name string) (map[string]string, error) {
	all := map[string]string{}
	err := h.inside(func() error {
		for _, family := range conf {
			dir := filepath.Join(family, name)
			entries, err := os.ReadDir(filepath.Join(sysctlNet, dir))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("interface %s: sysctls: %w", name, err)
			}
			for _, e := range entries {
				if value := getSysctl(filepath.Join(dir, e.Name())); value != "" {
					all[filepath.Join(family, e.Name())] = value
				}
			}
		}
		return nil
	})
	return all, err
}

// SetSysctls gives an interface the settings that Sysctls returned. Those that
// cannot be written are left.
func (h *Handle) SetSysctls(name string, all map[string]string) error {
	return h.inside(func() error {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			err := setSysctl(filepath.Join(filepath.Dir(key), name, filepath.Base(key)), all[key])
			if err != nil && !unwritable(err) {
				return err
			}
		}
		return nil
	})
}

func unwritable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EINVAL)
}

// Restore sets an interface of the host up and gives it the addresses and
// routes that it had; those that it has already are no error. Unlike with
// Configure its sysctls stay as they are.
func (h *Handle) Restore(index int, addresses []netip.Prefix, routes []resource.Route) error {
	requests := []*nl.NetlinkRequest{flagsRequest(index, true)}
	for _, a := range addresses {
		requests = append(requests, addressRequest(unix.RTM_NEWADDR, index, a))
	}
	for _, r := range routes {
		requests = append(requests, routeRequest(index, r))
	}
	var errs []error
	for _, r := range requests {
		if err := h.raw.do(r); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, kindOf(err))
		}
	}
	return errors.Join(errs...)
}
