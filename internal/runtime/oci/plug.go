package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/revert"
	"patchbay.dev/patchbay/internal/runtime/delegated"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/wiring"
	"patchbay.dev/patchbay/internal/tapstream"
)

var _ sandbox.Rewirer = (*Engine)(nil)

// Plug makes the interfaces. On an error those that were made are removed.
func (e *Engine) Plug(ctx context.Context, interfaces []wiring.Interface) error {
	if len(interfaces) == 0 {
		return nil
	}
	return e.plugAll(ctx, interfaces, func(within *link.Handle, _ *revert.Stack) error {
		return inside.Configure(within, born, interfaces...)
	})
}

// Rewire implements sandbox.Rewirer.
func (e *Engine) Rewire(ctx context.Context, from, to []wiring.Interface) error {
	added := inside.Without(to, from)
	return e.plugAll(ctx, added, func(within *link.Handle, undo *revert.Stack) error {
		undo.Add(func() error { return inside.Rewire(within, born, to, from) })
		if err := inside.Rewire(within, born, from, to, added...); err != nil {
			return err
		}
		for _, i := range inside.Without(from, to) {
			if err := e.unplug(ctx, within, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// born is the origin of interfaces: makeNetwork has prepared their namespace.
func born(i wiring.Interface) bool {
	switch i.Link.(type) {
	case wiring.BridgePort, wiring.Macvlan, wiring.TapStream:
		return true
	}
	return false
}

// plugAll makes interfaces, down and without addresses, and then what configure
// does with them.
func (e *Engine) plugAll(ctx context.Context, interfaces []wiring.Interface, configure func(within *link.Handle, undo *revert.Stack) error) (err error) {
	within, err := link.Open(e.namespace)
	if err != nil {
		return err
	}
	defer within.Close()
	var outside *link.Handle
	if len(interfaces) > 0 {
		if outside, err = link.Open(nil); err != nil {
			return err
		}
		defer outside.Close()
	}
	var undo revert.Stack
	defer undo.Run(&err)
	for rest := interfaces; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		made, err := e.plugNext(ctx, outside, within, rest)
		if err != nil {
			return err
		}
		for _, i := range made {
			undo.Add(func() error { return e.unplug(context.WithoutCancel(ctx), within, i) })
		}
		for _, i := range made {
			if err := e.rates.Apply(i); err != nil {
				return fmt.Errorf("interface %s: %w", i.Name, err)
			}
		}
		rest = rest[len(made):]
	}
	if err := configure(within, &undo); err != nil {
		return err
	}
	undo.Success()
	return nil
}

// plugNext makes the first of the interfaces, with all that follow it if these are ports of
// bridges too, or none. It returns which. The kernel lists interfaces in the order in which
// they were made, so that this is the order of their names.
func (e *Engine) plugNext(ctx context.Context, outside, within *link.Handle, interfaces []wiring.Interface) ([]wiring.Interface, error) {
	var ports []link.BridgePort
	for _, i := range interfaces {
		l, ok := i.Link.(wiring.BridgePort)
		if !ok {
			break
		}
		ports = append(ports, link.BridgePort{Bridge: l.Bridge, Port: l.Port, Inner: e.peer(within, i)})
	}
	if len(ports) > 0 {
		return interfaces[:len(ports)], outside.AddBridgePorts(ports...)
	}
	if err := e.plug(ctx, outside, within, interfaces[0]); err != nil {
		return nil, fmt.Errorf("interface %s: %w", interfaces[0].Name, err)
	}
	return interfaces[:1], nil
}

func (e *Engine) peer(within *link.Handle, i wiring.Interface) link.Peer {
	return link.Peer{Namespace: e.namespace, Name: i.Name, MAC: i.MAC, MTU: i.MTU, Links: within}
}

// plug makes an interface that is no port of a bridge.
func (e *Engine) plug(ctx context.Context, outside, within *link.Handle, i wiring.Interface) error {
	peer := e.peer(within, i)
	switch l := i.Link.(type) {
	case wiring.Macvlan:
		return outside.AddMacvlan(l.Parent, l.Mode, peer)
	case wiring.HostDevice:
		return e.plugBorrowed(outside, l.Device, peer)
	case wiring.TapStream:
		return e.plugTap(ctx, l.Socket, peer)
	case wiring.Delegated:
		return delegated.Place{Within: within, Path: e.reach()}.Attach(ctx, l.Lease, i)
	}
	return fmt.Errorf("link %T: not known to this runtime: %w", i.Link, errdefs.ErrNotImplemented)
}

// plugTap makes a tap and carries its frames for as long as the interface is
// there.
func (e *Engine) plugTap(ctx context.Context, socket string, peer link.Peer) error {
	tap, err := link.AddTap(peer)
	if err != nil {
		return err
	}
	pump, err := tapstream.NewPump(ctx, tap, socket)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errdefs.ErrUnavailable, err), tap.Close())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pumps[peer.Name] = pump
	return nil
}

// unplug removes an interface and what serves it, unless it is a device of the
// host: its network takes that back.
func (e *Engine) unplug(ctx context.Context, within *link.Handle, i wiring.Interface) error {
	_, borrowed := i.Link.(wiring.HostDevice)
	e.mu.Lock()
	delete(e.borrowed, i.Name)
	if borrowed {
		e.mu.Unlock()
		return nil
	}
	pump := e.pumps[i.Name]
	delete(e.pumps, i.Name)
	e.mu.Unlock()
	if l, ok := i.Link.(wiring.Delegated); ok {
		return delegated.Place{Within: within, Path: e.reach()}.Detach(ctx, l.Lease, i.Name)
	}
	// Before the pump's file is closed: that would delete it too, and wait for the kernel.
	err := within.Delete(i.Name)
	if pump != nil {
		pump.Close()
	}
	if err != nil {
		return err
	}
	return e.rates.Lift(i)
}
