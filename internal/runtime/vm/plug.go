package vm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/vm/plan"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/tapstream"
)

// Plug plugs network devices in and has the agent make them interfaces. The host's
// ends go with the machine.
func (e *Engine) Plug(ctx context.Context, interfaces []sandbox.Interface) error {
	if len(interfaces) == 0 {
		return nil
	}
	outside, err := link.Open(nil)
	if err != nil {
		return err
	}
	defer outside.Close()
	select {
	case <-e.booted:
	case <-ctx.Done():
		return ctx.Err()
	}
	for n, i := range interfaces {
		if err := e.plug(ctx, outside, n, i); err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
	}
	return nil
}

func (e *Engine) plug(ctx context.Context, outside *link.Handle, port int, i sandbox.Interface) error {
	frames, err := e.hostEnd(ctx, outside, i)
	if err != nil {
		return err
	}
	defer frames.File.Close() // the machine has it
	if err := e.rates.Apply(i); err != nil {
		return err
	}
	if err := e.machine.PlugNetwork(ctx, fmt.Sprintf("net%d", port), port, frames, i.MAC); err != nil {
		return err
	}
	if _, err := e.guest.Plug(ctx, &guestv1.PlugRequest{Interface: plan.ToProto(i)}); err != nil {
		return e.explain(err)
	}
	return nil
}

// hostEnd makes the host's end of an interface.
func (e *Engine) hostEnd(ctx context.Context, outside *link.Handle, i sandbox.Interface) (f qemu.Frames, err error) {
	switch l := i.Link.(type) {
	case sandbox.BridgePort:
		f.File, err = outside.AddBridgeTap(l.Bridge, l.Port, i.MTU)
	case sandbox.Macvlan:
		f.File, err = outside.AddMacvtap(l.Parent, l.Mode, link.Peer{Namespace: e.namespace, Name: i.Name, MAC: i.MAC, MTU: i.MTU})
	case sandbox.TapStream:
		f.Datagrams = true
		f.File, err = e.pump(ctx, l.Socket)
	default:
		err = fmt.Errorf("link %T: not known to this runtime: %w", i.Link, errdefs.ErrNotImplemented)
	}
	return f, err
}

// pump carries frames between a network's stream and the socket that it returns. The
// machine could have the stream itself, but does not connect again when the
// network's plugin has come back.
func (e *Engine) pump(ctx context.Context, socket string) (*os.File, error) {
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
	e.pumps = append(e.pumps, pump)
	return theirs, nil
}
