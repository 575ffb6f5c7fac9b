package oci

import (
	"context"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/runtime/inside"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/resource"
)

var _ sandbox.Meter = (*Engine)(nil)

// Sample reads the container's control group and the interfaces of its network
// namespace.
func (e *Engine) Sample(context.Context) (resource.Sample, error) {
	s, err := e.group.Sample()
	if err != nil {
		return s, err
	}
	within, err := link.Open(e.namespace)
	if err != nil {
		return s, err
	}
	defer within.Close()
	counters, err := within.Counters()
	if err != nil {
		return s, err
	}
	e.mu.Lock()
	for name, before := range e.borrowed {
		if now, ok := counters[name]; ok {
			counters[name] = now.Since(before)
		}
	}
	e.mu.Unlock()
	s.Attachments = inside.Traffic(counters)
	return s, nil
}

// plugBorrowed moves a device of the host in, and remembers what had gone over it
// before.
func (e *Engine) plugBorrowed(outside *link.Handle, device string, peer link.Peer) error {
	before, err := outside.CountersOf(device)
	if err != nil {
		return err
	}
	if err := outside.Move(device, peer); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.borrowed[peer.Name] = before
	return nil
}
