package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/channel"
)

// Port opens the virtio-serial port by its name, as soon as it is there and
// the host is connected to it.
func Port(ctx context.Context) (io.ReadWriteCloser, error) {
	device, err := await(ctx, func() (string, error) { return byAttribute("/sys/class/virtio-ports/*/name", channel.PortName) })
	if err != nil {
		return nil, fmt.Errorf("virtio-serial port %q: %w", channel.PortName, err)
	}
	fd, err := unix.Open(filepath.Join("/dev", device), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/%s: %w", device, err)
	}
	// Without a host at the other end reads tell the end of the file at once.
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("/dev/%s: %w", device, err)
		}
		if fds[0].Revents&unix.POLLHUP == 0 {
			break
		}
	}
	return os.NewFile(uintptr(fd), "/dev/"+device), nil
}
