package guest

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// awaitDevice returns what find finds. While it finds nothing it waits for the
// kernel to announce a device (netlink(7), NETLINK_KOBJECT_UEVENT) and looks again.
func awaitDevice(ctx context.Context, find func() (string, error)) (string, error) {
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
