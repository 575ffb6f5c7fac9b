package vm

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/runtime/vm/bare"
	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/resource"
)

// fixed says whether the machine is one that has its interfaces from its start on and
// takes no others: a microvm, if it is wanted.
func (e *Engine) fixed() bool { return e.config.Machines.Type == resource.MachineMicroVM && !e.opened }

// chooseType makes the machine a microvm where that is wanted, and where nothing speaks
// against it: it boots, for there are no templates, and will never have an interface.
func (e *Engine) chooseType(ctx context.Context, m *bare.Machine, files *openFiles) error {
	e.status.Type = resource.MachineQ35
	suffices := e.opened && !e.config.Machines.Templates && m.Booted.Has(early.DriverMMIO)
	switch {
	case e.fixed():
	case e.config.Machines.Type == resource.MachineAuto && suffices, e.config.Machines.Type == resource.MachineMicroVM:
		// for copies alone
	default:
		return nil
	}
	if err := m.MakeMicroVM(); err != nil {
		return err
	}
	e.status.Type = resource.MachineMicroVM
	if !e.fixed() {
		return nil
	}
	select {
	case m.Networks = <-e.wired:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, n := range m.Networks {
		files.all = append(append(files.all, n.Frames.Queues...), n.Frames.Vhost...)
	}
	return nil
}

// begin makes the interfaces that a machine begins with.
func (e *Engine) begin(ctx context.Context, outside *link.Handle, interfaces []wiring.Interface) error {
	if n := len(interfaces); n > qemu.MaxNetworks {
		return fmt.Errorf("interfaces: a virtual machine can have %d, want %d: %w", qemu.MaxNetworks, n, errdefs.ErrResourceExhausted)
	}
	if err := e.await(ctx, e.chosen); err != nil {
		return err
	}
	var networks []qemu.Network
	for _, i := range interfaces {
		port, frames, err := e.outside(ctx, outside, i)
		if err != nil {
			for _, n := range networks {
				n.Frames.Close()
			}
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
		networks = append(networks, qemu.Network{ID: deviceID(port), Frames: frames, MAC: i.MAC})
	}
	e.wired <- networks
	if err := e.await(ctx, e.booted); err != nil {
		return err
	}
	for _, i := range interfaces {
		if err := e.adopt(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// canRewire refuses what a microvm cannot do: its routes alone can be changed.
func (e *Engine) canRewire(from, to []wiring.Interface) error {
	if !e.fixed() || len(inside.Without(from, to))+len(inside.Without(to, from)) == 0 {
		return nil
	}
	return fmt.Errorf("a virtual machine of type microvm takes and gives no interfaces while it runs: stop the container for that, or set vm.machine = \"q35\": %w", errdefs.ErrFailedPrecondition)
}
