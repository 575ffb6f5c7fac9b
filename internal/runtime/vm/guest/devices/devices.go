// Package devices finds what the machine has for its guest: it loads the drivers, and
// tells disks, network devices and the ways to the host by their names, whatever their
// order. What is plugged in later is waited for.
package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk returns the path of the disk with a serial number, when it is there.
func Disk(ctx context.Context, serial string) (string, error) {
	name, err := await(ctx, func() (string, error) { return byAttribute("/sys/block/*/serial", serial) })
	if err != nil {
		return "", fmt.Errorf("disk %s: %w", serial, err)
	}
	return filepath.Join("/dev", name), nil
}

// Network returns the index of the network device with a MAC address, when it is there.
// Its name may not find it yet: sysfs has a device, and the kernel announces it, before
// it is in the table of names (register_netdevice in net/core/dev.c). A request by its index
// waits for that.
func Network(ctx context.Context, mac string) (int, error) {
	found, err := await(ctx, func() (string, error) {
		name, err := byAttribute("/sys/class/net/*/address", mac)
		if err != nil || name == "" {
			return "", err
		}
		index, err := os.ReadFile(filepath.Join("/sys/class/net", name, "ifindex"))
		if err != nil {
			return "", nil //nolint:nilerr // it has another name now, or is gone
		}
		return strings.TrimSpace(string(index)), nil
	})
	if err != nil {
		return 0, fmt.Errorf("network device %s: %w", mac, err)
	}
	return strconv.Atoi(found)
}

// await returns what find finds. While it finds nothing it waits for the
// kernel to announce a device (netlink(7), NETLINK_KOBJECT_UEVENT) and looks again.
func await(ctx context.Context, find func() (string, error)) (string, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return "", fmt.Errorf("kernel events: %w", err)
	}
	events := os.NewFile(uintptr(fd), "kernel events")
	defer events.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return "", fmt.Errorf("kernel events: %w", err)
	}
	defer context.AfterFunc(ctx, func() { events.Close() })()
	buffer := make([]byte, 8192)
	for {
		name, err := find()
		if err != nil || name != "" {
			return name, err
		}
		// What an event says does not matter, and lost ones (ENOBUFS) neither.
		if _, err := events.Read(buffer); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				return "", fmt.Errorf("no such device came: %w", ctx.Err())
			}
			return "", fmt.Errorf("kernel events: %w", err)
		}
	}
}

// byAttribute returns the device of which the sysfs file that a pattern finds
// holds a value; "" when there is none.
func byAttribute(pattern, value string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			continue // just unplugged
		}
		if strings.TrimSpace(string(content)) == value {
			return filepath.Base(filepath.Dir(f)), nil
		}
	}
	return "", nil
}
