package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/runtime/vm/plan"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/tapstream"
)

var _ sandbox.Rewirer = (*Engine)(nil)

// changeTimeout bounds how long the guest may take in all for a change of its interfaces,
// and for taking it back: to find devices, to set them up and to let go of others. An
// emulated one takes some seconds where its host has much else to do.
const changeTimeout = 30 * time.Second

// Plug plugs network devices in and has the agent make them interfaces. The host's
// ends go with the machine.
func (e *Engine) Plug(ctx context.Context, interfaces []wiring.Interface) error {
	if len(interfaces) == 0 && !e.fixed() {
		return nil
	}
	outside, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer outside.Close()
	if e.fixed() {
		return e.begin(ctx, outside, interfaces)
	}
	if err := e.await(ctx, e.booted); err != nil {
		return err
	}
	for _, i := range interfaces {
		if err := e.plug(ctx, outside, i); err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
		if err := e.adopt(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// adopt has the agent make a network device an interface.
func (e *Engine) adopt(ctx context.Context, i wiring.Interface) error {
	if _, err := e.guest.Plug(ctx, &guestv1.PlugRequest{Interface: plan.ToProto(i)}); err != nil {
		return fmt.Errorf("interface %s: %w", i.Name, e.explain(err))
	}
	return nil
}

// await returns when something has been done.
func (e *Engine) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// plug makes the host's end of an interface and plugs its device in.
func (e *Engine) plug(ctx context.Context, outside *link.Handle, i wiring.Interface) error {
	port, frames, err := e.outside(ctx, outside, i)
	if err != nil {
		return err
	}
	defer frames.Close() // the machine has them
	return e.machine.PlugNetwork(ctx, deviceID(port), port, frames, i.MAC)
}

// outside makes all of an interface that is the host's.
func (e *Engine) outside(ctx context.Context, outside *link.Handle, i wiring.Interface) (port int, f qemu.Frames, err error) {
	port = e.takePort(i.Name)
	if f, err = e.hostEnd(ctx, outside, i, port); err != nil {
		return port, f, err
	}
	if e.verdict.Accelerator == qemu.KVM && !f.Datagrams {
		err = f.Accelerate()
	}
	if err == nil {
		err = e.rates.Apply(i)
	}
	if err != nil {
		f.Close()
	}
	return port, f, err
}

// takePort gives an interface the lowest port that is free.
func (e *Engine) takePort(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	port := 0
	for taken := slices.Collect(maps.Values(e.ports)); slices.Contains(taken, port); {
		port++
	}
	e.ports[name] = port
	return port
}

func deviceID(port int) string { return fmt.Sprintf("net%d", port) }

// Rewire implements sandbox.Rewirer.
func (e *Engine) Rewire(ctx context.Context, from, to []wiring.Interface) (err error) {
	if err := e.canRewire(from, to); err != nil {
		return err
	}
	outside, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer outside.Close()
	background := context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var undo revert.Stack
	defer undo.Run(&err)
	for _, i := range inside.Without(to, from) {
		undo.Add(func() error { return e.unplug(background, i) })
		if err := e.plug(ctx, outside, i); err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
	}
	undo.Add(func() error { return e.rewire(background, to, from) })
	if err := e.rewire(ctx, from, to); err != nil {
		return err
	}
	for _, i := range inside.Without(from, to) {
		if err := e.unplug(ctx, i); err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
	}
	undo.Success()
	return nil
}

// rewire has the agent change what is the guest's.
func (e *Engine) rewire(ctx context.Context, from, to []wiring.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if _, err := e.guest.Rewire(ctx, &guestv1.RewireRequest{From: plan.AllToProto(from), To: plan.AllToProto(to)}); err != nil {
		return e.explain(err)
	}
	return nil
}

// unplug takes an interface's device out, and then the host's end. It may be called of one
// of which a part was made.
func (e *Engine) unplug(ctx context.Context, i wiring.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	e.mu.Lock()
	port, plugged := e.ports[i.Name]
	pump := e.pumps[i.Name]
	e.mu.Unlock()
	if plugged {
		if err := e.machine.UnplugNetwork(ctx, deviceID(port)); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	// Before the machine closes its files, which would have it wait for the kernel.
	if err := e.deleteHostEnd(ctx, i, port); err != nil {
		return err
	}
	if plugged {
		if err := e.machine.CloseNetwork(ctx, deviceID(port)); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	if pump != nil {
		pump.Close()
	}
	e.mu.Lock()
	delete(e.ports, i.Name)
	delete(e.pumps, i.Name)
	e.mu.Unlock()
	return e.rates.Lift(i)
}

// Rewrite implements sandbox.Engine.
func (e *Engine) Rewrite(c sandbox.Configuration) error {
	var r guestv1.RewriteRequest
	before, after := spec.Files(e.told), spec.Files(c)
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if !bytes.Equal(before[path], after[path]) {
			r.Changes = append(r.Changes, &guestv1.RewriteRequest_Change{Path: path, Before: before[path], After: after[path]})
		}
	}
	if len(r.GetChanges()) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		defer cancel()
		if _, err := e.guest.Rewrite(ctx, &r); err != nil {
			return e.explain(err)
		}
	}
	e.told = c
	return nil
}

// maxQueues bounds the queues of an interface: more processors than that hardly wait
// for one another's frames.
const maxQueues = 8

// queues is how many queues an interface has that is the host kernel's: one for each
// processor, where these run at the same time. In software emulation more than one
// costs and gains nothing.
func (e *Engine) queues() int {
	if e.verdict.Accelerator != qemu.KVM {
		return 1
	}
	return min(site.Processors(e.sandbox.Resources), maxQueues)
}

// hostEnd makes the host's end of an interface.
func (e *Engine) hostEnd(ctx context.Context, outside *link.Handle, i wiring.Interface, port int) (f qemu.Frames, err error) {
	switch l := i.Link.(type) {
	case wiring.BridgePort:
		f.Queues, err = outside.AddBridgeTap(l.Bridge, l.Port, i.MTU, e.queues())
	case wiring.Macvlan:
		f.Queues, err = outside.AddMacvtap(l.Parent, l.Mode, link.Peer{Namespace: e.namespace, Name: i.Name, MAC: i.MAC, MTU: i.MTU}, e.queues())
	case wiring.Delegated:
		f.Queues, err = e.tapDelegated(ctx, l.Lease, i, port)
	case wiring.TapStream:
		f.Datagrams = true
		var frames *os.File
		if frames, err = e.pump(ctx, i.Name, l.Socket); err == nil {
			f.Queues = []*os.File{frames}
		}
	default:
		err = fmt.Errorf("link %T: not known to this runtime: %w", i.Link, errdefs.ErrNotImplemented)
	}
	return f, err
}

// pump carries frames between a network's stream and the socket that it returns. The
// machine could have the stream itself, but does not connect again when the
// network's plugin has come back.
func (e *Engine) pump(ctx context.Context, name, socket string) (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "frames"), os.NewFile(uintptr(fds[1]), "frames")
	pump, err := tapstream.NewPump(ctx, ours, socket)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errdefs.ErrUnavailable, err), ours.Close(), theirs.Close())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pumps[name] = pump
	return theirs, nil
}
