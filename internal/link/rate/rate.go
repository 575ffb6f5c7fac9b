// Package rate bounds what ports of bridges carry, by the kernel's traffic
// control (tc(8)).
//
// A port's own queue bounds what goes to the container. What comes from it is led
// through a queue of its own, that of an intermediate functional block (ifb): so
// both directions are shaped, that is delayed before anything is dropped. All is
// on the host's side, out of the reach of a container with any capability.
package rate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/resource"
)

// ingressPrefix is that of the names of the devices that packets from ports are
// led through.
const ingressPrefix = "pbi"

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of include/uapi/linux/if_link.h.
const addrGenModeNone = 1

// Limit is the rates of a port.
type Limit struct {
	Port  string           // name of the host's end of an interface
	Owner string           // sandbox, for Remove
	In    resource.BitRate // to the container; 0: none
	Out   resource.BitRate // from the container
}

// Apply bounds a port that was just made, in ns or where that is nil in the
// caller's namespace. After an error nothing of it is left but what goes with the
// port. A kernel that lacks a part of traffic control is errdefs.ErrNotImplemented.
func Apply(ns *netns.Namespace, l Limit) error {
	h, err := open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	port, err := h.LinkByName(l.Port)
	if err != nil {
		return fmt.Errorf("port %s: %w", l.Port, err)
	}
	if l.In != 0 {
		if err := h.QdiscReplace(bucket(port.Attrs(), l.In)); err != nil {
			return explain("rate-in", err, "sch_tbf")
		}
	}
	if l.Out != 0 {
		return limitOut(h, ns, port, l)
	}
	return nil
}

// limitOut leads what comes from the port through a device with the rate.
func limitOut(h *netlink.Handle, ns *netns.Namespace, port netlink.Link, l Limit) (err error) {
	var undo revert.Stack
	defer undo.Run(&err)
	device, err := addDevice(h, ns, l, port.Attrs().MTU)
	if err != nil {
		return explain("rate-out", err, "ifb")
	}
	undo.Add(func() error { return rtnl.DeleteLink(ns, device.Attrs().Index) })
	if err := h.QdiscReplace(bucket(device.Attrs(), l.Out)); err != nil {
		return explain("rate-out", err, "sch_tbf")
	}
	if err := h.LinkSetUp(device); err != nil {
		return explain("rate-out", err, "ifb")
	}
	ingress := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: port.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0),
	}}
	if err := h.QdiscReplace(ingress); err != nil {
		return explain("rate-out", err, "sch_ingress")
	}
	redirect := &netlink.U32{ // without a selector: all packets
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: port.Attrs().Index, Parent: ingress.Handle, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Actions: []netlink.Action{netlink.NewMirredAction(device.Attrs().Index)},
	}
	if err := h.FilterAdd(redirect); err != nil {
		return explain("rate-out", err, "cls_u32, act_mirred")
	}
	undo.Success()
	return nil
}

// addDevice makes the device for what comes from a port, down. One of that name
// belonged to a port before, which is gone.
func addDevice(h *netlink.Handle, ns *netns.Namespace, l Limit, mtu int) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = deviceName(l.Port)
	attrs.HardwareAddr = ownerMAC(l.Owner).HardwareAddr()
	attrs.MTU = mtu
	device := &netlink.Ifb{LinkAttrs: attrs}
	err := h.LinkAdd(device)
	if errors.Is(err, unix.EEXIST) {
		left, findErr := h.LinkByName(attrs.Name)
		if findErr != nil || left.Type() != device.Type() {
			return nil, err
		}
		if err := rtnl.DeleteLink(ns, left.Attrs().Index); err != nil {
			return nil, err
		}
		err = h.LinkAdd(device)
	}
	if err != nil {
		return nil, err
	}
	// It has no use for addresses; kernels without IPv6 refuse this.
	_ = h.LinkSetIP6AddrGenMode(device, addrGenModeNone)
	return device, nil
}

// Remove deletes what Apply made for a sandbox and does not go with its ports, in
// ns or where that is nil in the caller's namespace. It may be called as often as
// one likes.
func Remove(ns *netns.Namespace, owner string) error {
	h, err := open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	all, err := links(h)
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	var errs []error
	for _, l := range all {
		mac := l.Attrs().HardwareAddr.String()
		if l.Type() != "ifb" || mac != string(ownerMAC(owner)) {
			continue
		}
		if err := rtnl.DeleteLink(ns, l.Attrs().Index); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete interface %s: %w", l.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}

// RemovePort deletes what Apply made for a port and does not go with it, in ns or
// where that is nil in the caller's namespace. That there is nothing is no error.
func RemovePort(ns *netns.Namespace, port string) error {
	h, err := open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	device, err := h.LinkByName(deviceName(port))
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil && device.Type() == "ifb" {
		err = rtnl.DeleteLink(ns, device.Attrs().Index)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("port %s: rate-out: %w", port, err)
	}
	return nil
}

func open(ns *netns.Namespace) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(place(ns), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return h, nil
}

// place is the namespace as sockets are opened in it.
func place(ns *netns.Namespace) vns.NsHandle {
	if ns == nil {
		return vns.None()
	}
	return vns.NsHandle(ns.FD())
}

// links lists all, again where the list changed under the kernel's hands.
func links(h *netlink.Handle) ([]netlink.Link, error) {
	const attempts = 30
	for n := 1; ; n++ {
		all, err := h.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) || n == attempts {
			return all, err
		}
	}
}

// deviceName depends on the port alone, so that none is left unseen.
func deviceName(port string) string {
	sum := sha256.Sum256([]byte(port))
	return ingressPrefix + hex.EncodeToString(sum[:6])
}

// ownerMAC marks a device with its sandbox from its birth, as an alias, which
// comes after it, could not.
func ownerMAC(owner string) resource.MACAddress { return macaddress.Stable("rate", owner) }

// explain says what the kernel may lack.
func explain(key string, err error, modules string) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: the kernel cannot hold rates; are the modules there (%s)? %w: %w", key, modules, errdefs.ErrNotImplemented, err)
	}
	return fmt.Errorf("%s: %w", key, err)
}
