package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/link/tuntap"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// AddMacvtap makes a macvtap on parent that is born in the namespace of inner, up
// and without addresses, and returns the files of its queues through which its frames go,
// each with a header as those of AddBridgeTap. The interface is gone with its namespace.
func (h *Handle) AddMacvtap(parent string, mode resource.MacvlanMode, inner Peer, queues int) ([]*os.File, error) {
	number, err := macvlanMode(mode)
	if err != nil {
		return nil, err
	}
	return h.addMacvtap(parent, number, inner, queues)
}

// Tap makes a macvtap, in the namespace of inner, that has all frames of an interface and
// its MAC address. Nothing else can be made on that any more, and its namespace has no IPv6 on
// it: who has the frames speaks for the address. The rest is as for AddMacvtap.
func (h *Handle) Tap(name string, inner Peer, queues int) ([]*os.File, error) {
	if err := h.Inside(func() error {
		if !sysctl.HasIPv6() {
			return nil
		}
		return sysctl.SetInterface(name, sysctl.Interface{Key: "net.ipv6.conf.IFNAME.disable_ipv6", Value: "1"})
	}); err != nil {
		return nil, err
	}
	if err := h.raw.Do(rtnl.Up(name)); err != nil {
		return nil, fmt.Errorf("interface %s: set up: %w", name, err)
	}
	return h.addMacvtap(name, macvlanPassthru, inner, queues)
}

func (h *Handle) addMacvtap(parent string, mode uint32, inner Peer, queues int) ([]*os.File, error) {
	if err := h.addMacvlan("macvtap", parent, mode, inner); err != nil {
		return nil, err
	}
	within, err := Open(inner.Namespace)
	if err != nil {
		return nil, err
	}
	defer within.Close()
	tap, err := tuntap.Queues(queues, func(flags uint16) (*os.File, error) { return openMacvtap(inner.Namespace, inner.Name, flags) })
	if err == nil {
		err = within.raw.Do(rtnl.Optional(rtnl.NoLinkLocal(inner.Name)), rtnl.AllMulticast(inner.Name), rtnl.Up(inner.Name))
	}
	if err != nil {
		tuntap.Close(tap)
		return nil, errors.Join(fmt.Errorf("macvtap %s on parent %s: %w", inner.Name, parent, err), within.Delete(inner.Name))
	}
	return tap, nil
}

// openMacvtap opens the character device of a macvtap. Nodes in /dev are named by
// the interface's index, which another namespace may have too; the number of the
// device is not, and the namespace's sysfs has it.
func openMacvtap(ns *netns.Namespace, name string, flags uint16) (*os.File, error) {
	number, err := macvtapNumber(ns, name)
	if err != nil {
		return nil, err
	}
	nodes, err := detached("tmpfs")
	if err != nil {
		return nil, err
	}
	defer nodes.Close()
	at := int(nodes.Fd())
	if err := unix.Mknodat(at, "tap", unix.S_IFCHR|0o600, int(number)); err != nil {
		return nil, fmt.Errorf("make device node: %w", err)
	}
	fd, err := unix.Openat(at, "tap", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open its device: %w", err)
	}
	if err := tuntap.Set(fd, name, unix.IFF_VNET_HDR|flags); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("headers of its frames: %w", err)
	}
	return os.NewFile(uintptr(fd), "macvtap "+name), nil
}

// macvtapNumber returns the device number of a macvtap.
func macvtapNumber(ns *netns.Namespace, name string) (number uint64, err error) {
	err = ns.Do(func() error {
		sysfs, err := detached("sysfs")
		if err != nil {
			return err
		}
		defer sysfs.Close()
		pattern := filepath.Join(fmt.Sprintf("/proc/self/fd/%d", sysfs.Fd()), "class/net", name, "macvtap/*/dev")
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) != 1 {
			return fmt.Errorf("its device in sysfs: found %d: %w", len(found), errors.Join(err, errdefs.ErrNotFound))
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			return err
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(strings.TrimSpace(string(text)), "%d:%d", &major, &minor); err != nil {
			return fmt.Errorf("number of its device %q: %w", text, err)
		}
		number = unix.Mkdev(major, minor)
		return nil
	})
	return number, err
}

// detached mounts a file system of the calling thread's namespaces where nobody
// sees it (fsopen(2), fsmount(2)). It is gone with the file.
func detached(kind string) (*os.File, error) {
	context, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	fd, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return os.NewFile(uintptr(fd), kind), nil
}
