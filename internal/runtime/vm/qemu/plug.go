package qemu

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/resource"
)

// PlugTap plugs a network device in at a port, whose frames go through a tap or
// macvtap. Id names it for Unplug; it is of letters and digits.
func (m *Machine) PlugTap(ctx context.Context, id string, port int, tap *os.File, mac resource.MACAddress) (err error) {
	if port >= ports {
		return fmt.Errorf("machine: has %d ports for network devices, all are in use: %w", ports, errdefs.ErrResourceExhausted)
	}
	var undo revert.Stack
	defer undo.Run(&err)
	if err := m.monitor.execute(ctx, "getfd", map[string]any{"fdname": id}, tap); err != nil {
		return err
	}
	if err := m.monitor.execute(ctx, "netdev_add", map[string]any{"type": "tap", "id": id, "fd": id}); err != nil {
		return err
	}
	undo.Add(func() error {
		return m.monitor.execute(context.WithoutCancel(ctx), "netdev_del", map[string]any{"id": id})
	})
	if err := m.monitor.execute(ctx, "device_add", map[string]any{
		"driver": "virtio-net-pci", "id": id, "netdev": id, "mac": string(mac), "bus": fmt.Sprintf("port%d", port),
	}); err != nil {
		return err
	}
	undo.Success()
	return nil
}
