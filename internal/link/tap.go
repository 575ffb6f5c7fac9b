package link

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Rename gives an interface that is down another name and an MTU (0: it keeps its own).
func (h *Handle) Rename(name, to string, mtu int) error {
	l, err := h.byName(name)
	if err != nil {
		return err
	}
	req := request(unix.RTM_SETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(l.Attrs().Index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(to)))
	if mtu != 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	if err := h.raw.do(req); err != nil {
		return fmt.Errorf("interface %s: name it %s: %w", name, to, err)
	}
	return nil
}

// AddBridgeTap makes a port of a bridge whose other end is a file: frames, each
// with a header that says what of it is left to be done (virtio_net_hdr,
// Documentation/networking/tuntap.rst). The port is gone when all descriptors of
// the file are closed. A port of that name is what a dead sandbox left; it is
// removed first.
func (h *Handle) AddBridgeTap(bridge, port string, mtu int) (*os.File, error) {
	master, err := h.byName(bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", bridge, err)
	}
	if left, err := h.Interface(port); err == nil {
		if err := h.DeleteIndex(left.Index); err != nil {
			return nil, fmt.Errorf("port %s: remove left-over: %w", port, err)
		}
	}
	tap, err := openTap(port)
	if err != nil {
		return nil, fmt.Errorf("port %s of bridge %s: %w", port, bridge, err)
	}
	enslave := request(unix.RTM_SETLINK, 0)
	enslave.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	enslave.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(port)))
	enslave.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master.Attrs().Index))))
	if mtu != 0 {
		enslave.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	if err := h.raw.do(optional(noLinkLocalRequest(port)), enslave, upRequest(port)); err != nil {
		tap.Close() // and with it the port
		return nil, fmt.Errorf("port %s of bridge %s: %w", port, bridge, err)
	}
	return tap, nil
}

// openTap makes a tap device in the calling thread's network namespace.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "tap "+name), nil
}
