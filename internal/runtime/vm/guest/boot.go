package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"connectrpc.com/connect/v2"
	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/guest/devices"
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
	if err := devices.LoadUsual(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	port, err := devices.Port(context.Background())
	if err != nil {
		return err
	}
	session, err := channel.Accept(port, devices.DialHost)
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
