package link

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/tuntap"
)

// Rename gives the interface with that index, which is down, another name and an MTU (0: it
// keeps its own).
func (h *Handle) Rename(index int, to string, mtu int) error {
	req := rtnl.Request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(to)))
	if mtu != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	if err := h.raw.Do(req); err != nil {
		return fmt.Errorf("interface %d: name it %s: %w", index, to, rtnl.KindOf(err))
	}
	return nil
}

// AddBridgeTap makes a port of a bridge whose other end are files, one for each queue:
// frames, each with a header that says what of it is left to be done (virtio_net_hdr).
// The port is gone when all descriptors of the files are closed. A port of that name
// is what a dead sandbox left; it is removed first.
func (h *Handle) AddBridgeTap(bridge, port string, mtu, queues int) ([]*os.File, error) {
	master, err := h.Index(bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", bridge, err)
	}
	if left, err := h.Interface(port); err == nil {
		if err := h.DeleteIndex(left.Index); err != nil {
			return nil, fmt.Errorf("port %s: remove left-over: %w", port, err)
		}
	}
	tap, err := tuntap.Queues(queues, func(flags uint16) (*os.File, error) { return tuntap.Open(port, unix.IFF_VNET_HDR|flags) })
	if err != nil {
		return nil, explainTap(err, fmt.Sprintf("port %s of bridge %s", port, bridge))
	}
	enslave := rtnl.Request(unix.RTM_SETLINK, 0)
	enslave.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	enslave.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(port)))
	enslave.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
	if mtu != 0 {
		enslave.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	if err := h.upWithoutIPv6([]string{port}, enslave); err != nil {
		tuntap.Close(tap) // and with them the port
		return nil, fmt.Errorf("port %s of bridge %s: %w", port, bridge, err)
	}
	return tap, nil
}

// AddTap makes a tap in the namespace of inner, down and without addresses, and
// returns its file: each read and write of it is one Ethernet frame. The file may
// be used from any thread and waits like a network connection. The interface is gone
// when the file is closed.
func AddTap(inner Peer) (*os.File, error) {
	what := "tap " + inner.Name
	var file *os.File
	err := inner.Namespace.Do(func() (err error) {
		file, err = tuntap.Open(inner.Name, unix.IFF_TUN_EXCL)
		return err
	})
	if err != nil {
		return nil, explainTap(err, what)
	}
	if err := setPeer(inner); err != nil {
		return nil, errors.Join(rtnl.Explain(err, "tap", what), file.Close())
	}
	return file, nil
}

// setPeer gives an interface that is in its namespace already its MAC address
// and MTU.
func setPeer(inner Peer) error {
	req := rtnl.Request(unix.RTM_NEWLINK, 0)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(inner.Name)))
	if hw := inner.MAC.HardwareAddr(); hw != nil {
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, hw))
	}
	if inner.MTU != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(inner.MTU))))
	}
	return insider{namespace: inner.Namespace}.do(req)
}

// explainTap gives an error about opening a tap its kind.
func explainTap(err error, what string) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: the kernel offers no %s; is the module there (modprobe tun)? %w: %w", what, tuntap.Device, errdefs.ErrNotImplemented, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s: %w: %w", what, errdefs.ErrPermissionDenied, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: name is taken: %w: %w", what, errdefs.ErrAlreadyExists, err)
	}
	return rtnl.Explain(err, "tap", what)
}
