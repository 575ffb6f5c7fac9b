package qemu

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/resource"
)

// Frames is the file through which the frames of a network device go.
type Frames struct {
	File *os.File
	// Datagrams: it is a connected datagram socket, one datagram for each frame.
	// Else it is a tap or macvtap.
	Datagrams bool
}

// netdev is the network back end with the file that the monitor knows by id.
func (f Frames) netdev(id string) map[string]any {
	if f.Datagrams {
		return map[string]any{"type": "dgram", "id": id, "local": map[string]any{"type": "fd", "str": id}}
	}
	return map[string]any{"type": "tap", "id": id, "fd": id}
}

// PlugNetwork plugs a network device in at a port. Its id is of letters and digits.
func (m *Machine) PlugNetwork(ctx context.Context, id string, port int, frames Frames, mac resource.MACAddress) (err error) {
	if port >= ports {
		return fmt.Errorf("machine: has %d ports for network devices, all are in use: %w", ports, errdefs.ErrResourceExhausted)
	}
	var undo revert.Stack
	defer undo.Run(&err)
	if err := m.monitor.execute(ctx, "getfd", map[string]any{"fdname": id}, frames.File); err != nil {
		return err
	}
	if err := m.monitor.execute(ctx, "netdev_add", frames.netdev(id)); err != nil {
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

// UnplugNetwork removes a network device, when the guest has let go of it, and
// closes the file of its frames.
func (m *Machine) UnplugNetwork(ctx context.Context, id string) error {
	if err := m.monitor.removeDevice(ctx, id); err != nil {
		return err
	}
	return m.monitor.execute(ctx, "netdev_del", map[string]any{"id": id})
}
