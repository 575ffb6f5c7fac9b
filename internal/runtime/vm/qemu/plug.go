package qemu

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/resource"
)

// Frames is what the frames of a network device go through.
type Frames struct {
	// Queues are the files of a tap or macvtap, one for each of its queues; or the one
	// of a connected datagram socket, one datagram for each frame.
	Queues    []*os.File
	Datagrams bool
	// Vhost are as many files of the kernel's part of a network device (vhost-net), which
	// spares the frames the way through this process; none: it does not.
	Vhost []*os.File
}

// vhostDevice is where the kernel offers its part of network devices.
const vhostDevice = "/dev/vhost-net"

// Accelerate has the kernel carry the frames of a tap, where it can.
func (f *Frames) Accelerate() error {
	for range f.Queues {
		file, err := os.OpenFile(vhostDevice, os.O_RDWR, 0)
		if err != nil && len(f.Vhost) == 0 {
			return nil // the module is not there
		}
		if err != nil {
			return err
		}
		f.Vhost = append(f.Vhost, file)
	}
	return nil
}

// Close closes the files.
func (f *Frames) Close() {
	for _, file := range slices.Concat(f.Queues, f.Vhost) {
		_ = file.Close() // nothing is written to it here
	}
}

// named is a file that the monitor knows by a name.
type named struct {
	name string
	file *os.File
}

// files are all files, with names that begin with an id.
func (f Frames) files(id string) (queues, vhost []named) {
	for i, file := range f.Queues {
		queues = append(queues, named{fmt.Sprintf("%sq%d", id, i), file})
	}
	for i, file := range f.Vhost {
		vhost = append(vhost, named{fmt.Sprintf("%sv%d", id, i), file})
	}
	return queues, vhost
}

func namesOf(files []named) string {
	var out []string
	for _, f := range files {
		out = append(out, f.name)
	}
	return strings.Join(out, ":")
}

// netdev is the network back end (NetdevTapOptions of qapi/net.json): several queues
// are told by fds, and fd is for a single one.
func (f Frames) netdev(id string) map[string]any {
	queues, vhost := f.files(id)
	if f.Datagrams {
		return map[string]any{"type": "dgram", "id": id, "local": map[string]any{"type": "fd", "str": namesOf(queues)}}
	}
	out := map[string]any{"type": "tap", "id": id}
	plural := ""
	if len(queues) > 1 {
		plural = "s"
	}
	out["fd"+plural] = namesOf(queues)
	if len(vhost) > 0 {
		out["vhost"] = true
		out["vhostfd"+plural] = namesOf(vhost)
	}
	return out
}

// device is the guest's network device. Of several queues each has an interrupt for
// either direction, beside those for control and configuration.
func (f Frames) device(id string, port int, mac resource.MACAddress) map[string]any {
	out := map[string]any{"driver": "virtio-net-pci", "id": id, "netdev": id, "mac": string(mac), "bus": fmt.Sprintf("port%d", port)}
	if n := len(f.Queues); n > 1 {
		out["mq"], out["vectors"] = true, 2*n+2
	}
	return out
}

// argument is netdev for the command line, where files are told by their numbers.
func (f Frames) argument(id string, files *inherited) string {
	numbers := func(all []*os.File) string {
		var out []string
		for _, file := range all {
			out = append(out, strconv.Itoa(files.add(file)))
		}
		return strings.Join(out, ":")
	}
	if f.Datagrams {
		return fmt.Sprintf("dgram,id=%s,local.type=fd,local.str=%s", id, numbers(f.Queues))
	}
	plural := ""
	if len(f.Queues) > 1 {
		plural = "s"
	}
	out := fmt.Sprintf("tap,id=%s,fd%s=%s", id, plural, numbers(f.Queues))
	if len(f.Vhost) > 0 {
		out += fmt.Sprintf(",vhost=on,vhostfd%s=%s", plural, numbers(f.Vhost))
	}
	return out
}

// deviceArgument is device for the command line, without the interrupts that buses
// without PCI do not have.
func (f Frames) deviceArgument(driver, id string, mac resource.MACAddress) string {
	out := fmt.Sprintf("%s,id=%s,netdev=%s,mac=%s", driver, id, id, mac)
	if len(f.Queues) > 1 {
		out += ",mq=on"
	}
	return out
}

// undoTimeout bounds how long a machine may take to forget what could not be plugged in.
const undoTimeout = 5 * time.Second

// PlugNetwork plugs a network device in at a port. Its id is of letters and digits.
func (m *Machine) PlugNetwork(ctx context.Context, id string, port int, frames Frames, mac resource.MACAddress) (err error) {
	if port >= MaxNetworks {
		return fmt.Errorf("machine: has %d ports for network devices, all are in use: %w", MaxNetworks, errdefs.ErrResourceExhausted)
	}
	var undo revert.Stack
	defer undo.Run(&err)
	queues, vhost := frames.files(id)
	for _, f := range slices.Concat(queues, vhost) {
		if err := m.monitor.execute(ctx, "getfd", map[string]any{"fdname": f.name}, f.file); err != nil {
			return err
		}
	}
	if err := m.monitor.execute(ctx, "netdev_add", frames.netdev(id)); err != nil {
		return err
	}
	undo.Add(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		return m.monitor.execute(ctx, "netdev_del", map[string]any{"id": id})
	})
	if err := m.monitor.execute(ctx, "device_add", frames.device(id, port, mac)); err != nil {
		return err
	}
	undo.Success()
	return nil
}

// PlugShare plugs in what a virtiofs daemon serves. The machine's memory must be
// Config.Shared.
func (m *Machine) PlugShare(ctx context.Context, s Share) error {
	const id = "share0"
	if err := m.monitor.execute(ctx, "getfd", map[string]any{"fdname": id}, s.Socket); err != nil {
		return err
	}
	if err := m.monitor.execute(ctx, "chardev-add", map[string]any{"id": id, "backend": map[string]any{
		"type": "socket", "data": map[string]any{"server": false, "addr": map[string]any{"type": "fd", "data": map[string]any{"str": id}}},
	}}); err != nil {
		return err
	}
	return m.monitor.execute(ctx, "device_add", map[string]any{
		"driver": "vhost-user-fs-pci", "id": id, "chardev": id, "tag": s.Tag, "bus": fmt.Sprintf("port%d", sharePort),
	})
}

// device is the guest's device, whose file the monitor knows by the same id.
func (s Sockets) device(id string) map[string]any {
	return map[string]any{
		"driver": "vhost-vsock-pci", "id": id, "guest-cid": s.CID, "vhostfd": id, "bus": fmt.Sprintf("port%d", socketsPort),
	}
}

// plugSockets plugs in the device for sockets to the host.
func (m *Machine) plugSockets(ctx context.Context, s Sockets) error {
	const id = "sockets"
	if err := m.monitor.execute(ctx, "getfd", map[string]any{"fdname": id}, s.File); err != nil {
		return err
	}
	return m.monitor.execute(ctx, "device_add", s.device(id))
}

// UnplugNetwork removes a network device when the guest has let go of it. The machine
// still has the files of its frames, until CloseNetwork.
func (m *Machine) UnplugNetwork(ctx context.Context, id string) error {
	return m.monitor.removeDevice(ctx, id)
}

// CloseNetwork closes the files of the frames of a network device that is unplugged. If
// that ends an interface of the host the machine stands still until the kernel is done
// with it.
func (m *Machine) CloseNetwork(ctx context.Context, id string) error {
	return m.monitor.execute(ctx, "netdev_del", map[string]any{"id": id})
}
