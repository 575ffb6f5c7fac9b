package vm

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/vm/plan"
	"patchbay.dev/patchbay/internal/sandbox"
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
	tap, err := e.hostEnd(outside, i)
	if err != nil {
		return err
	}
	defer tap.Close() // the machine has it
	if err := e.rates.Apply(i); err != nil {
		return err
	}
	if err := e.machine.PlugTap(ctx, fmt.Sprintf("net%d", port), port, tap, i.MAC); err != nil {
		return err
	}
	if _, err := e.guest.Plug(ctx, &guestv1.PlugRequest{Interface: plan.ToProto(i)}); err != nil {
		return e.explain(err)
	}
	return nil
}

// hostEnd makes the host's end of an interface.
func (e *Engine) hostEnd(outside *link.Handle, i sandbox.Interface) (*os.File, error) {
	switch l := i.Link.(type) {
	case sandbox.Macvlan:
		return outside.AddMacvtap(l.Parent, l.Mode, link.Peer{Namespace: e.namespace, Name: i.Name, MAC: i.MAC, MTU: i.MTU})
	case sandbox.BridgePort:
		return outside.AddBridgeTap(l.Bridge, l.Port, i.MTU)
	}
	return nil, fmt.Errorf("link %T: not known to this runtime: %w", i.Link, errdefs.ErrNotImplemented)
}
