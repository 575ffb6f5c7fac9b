package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect/v2"
	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/early"
)

// Main boots the guest and serves the host until it is gone; then it powers the
// machine off. It is process 1 and does not return.
func Main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serve(log); err != nil {
		log.Error("the guest ends", "error", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		log.Error("power off", "error", err)
	}
	select {} // a process 1 that ends is a panic
}

func serve(log *slog.Logger) error {
	if err := mountInitial(); err != nil {
		return err
	}
	if err := loadUsual(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	port, err := openPort(context.Background())
	if err != nil {
		return err
	}
	session, err := channel.Accept(port)
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	return answer(session, log)
}

func answer(session *yamux.Session, log *slog.Logger) error {
	service := newService(session)
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { guestv1connect.RegisterGuestServiceHandler(s, service) },
		Private:  true,
		Log:      log,
	})
	err := server.Serve(session)
	if errors.Is(err, io.EOF) || errors.Is(err, yamux.ErrSessionShutdown) {
		return nil // the helper is gone
	}
	return err
}

// mountInitial mounts what the agent itself needs.
func mountInitial() error {
	for _, m := range []struct{ source, target, kind string }{
		{"proc", "/proc", "proc"},
		{"sysfs", "/sys", "sysfs"},
		{"devtmpfs", "/dev", "devtmpfs"},
		{"cgroup2", "/cgroup", "cgroup2"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// loadUsual loads the drivers that every machine needs and those that this one is told
// to.
func loadUsual() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for _, driver := range append([]string{""}, early.Drivers(string(line))...) {
		if err := load(driver); err != nil {
			return err
		}
	}
	return nil
}

// load loads the modules of a driver, in their order; with "" those of all that every
// machine needs. One that the kernel has already is not an error.
func load(driver string) error {
	list, err := os.ReadFile(early.List(driver))
	if err != nil {
		return fmt.Errorf("driver %s: %w", driver, err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open(filepath.Join(early.Modules, name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", name, err)
		}
	}
	return nil
}

// openPort opens the virtio-serial port by its name, as soon as it is there and
// the host is connected to it.
func openPort(ctx context.Context) (io.ReadWriteCloser, error) {
	device, err := awaitDevice(ctx, func() (string, error) { return byAttribute("/sys/class/virtio-ports/*/name", channel.PortName) })
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
