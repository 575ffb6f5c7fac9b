// Package control decides by which way a runtime helper and the agent in its virtual
// machine speak to each other, and has them do so: by a socket between guest and host
// (vsock(7)) where the host offers that, else by a virtio-serial port, which every
// machine has.
package control

import (
	"fmt"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Chooser decides. All fields are required.
type Chooser struct {
	Wish resource.MachineChannel
	// Kernel is that of the guest.
	Kernel kernel.Kernel
	// Open reserves what a machine needs for a socket to the host.
	Open func() (*Endpoint, error)
}

// Choose decides for one start of a machine. That a socket is wanted and there can be
// none is errdefs.ErrFailedPrecondition.
func (c Chooser) Choose() (*Way, error) {
	if c.Wish == resource.ChannelSerial {
		return &Way{reason: "chosen by vm.channel in the configuration"}, nil
	}
	err := c.lacking()
	var endpoint *Endpoint
	if err == nil {
		endpoint, err = c.Open()
	}
	wanted := c.Wish == resource.ChannelVsock
	switch {
	case err == nil && wanted:
		return &Way{endpoint: endpoint, wanted: true, reason: "chosen by vm.channel in the configuration"}, nil
	case err == nil:
		return &Way{endpoint: endpoint, reason: Device + " opens"}, nil
	case wanted:
		return nil, fmt.Errorf("vm.channel is vsock, but %w: %w", err, errdefs.ErrFailedPrecondition)
	}
	return &Way{reason: wire.Text(err)}, nil
}

// lacking says what the guest's kernel lacks for a socket.
func (c Chooser) lacking() error {
	if c.Kernel.Has(early.DriverSockets) {
		return nil
	}
	return fmt.Errorf("the guest's kernel, as it was set, has no driver %s: %w", early.DriverSockets, errdefs.ErrFailedPrecondition)
}
