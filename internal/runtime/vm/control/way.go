package control

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"

	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/qemu"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Way is what was decided for one start of a machine.
type Way struct {
	endpoint *Endpoint // nil: the serial port
	wanted   bool      // there is to be no other way
	reason   string
}

// String is a line for the user.
func (w *Way) String() string {
	if w.endpoint == nil {
		return "serial port: " + w.reason
	}
	return "vsock: " + w.reason
}

// Sockets is the device that the machine needs; nil: none.
func (w *Way) Sockets() *qemu.Sockets {
	if w.endpoint == nil {
		return nil
	}
	return &qemu.Sockets{CID: w.endpoint.CID, File: w.endpoint.File}
}

// Close gives up what is not needed any more when the session has begun, or never will.
func (w *Way) Close() {
	if w.endpoint != nil {
		w.endpoint.Close()
		w.endpoint = nil
	}
}

// Connect waits for the agent at a machine's serial port and begins the session with
// it. The end of ctx closes the port.
func (w *Way) Connect(ctx context.Context, port net.Conn) (*yamux.Session, resource.ChannelStatus, error) {
	greeting, err := channel.Greet(ctx, port)
	if err != nil {
		return nil, resource.ChannelStatus{}, err
	}
	if w.endpoint == nil {
		return w.begin(greeting)
	}
	session, err := greeting.Detour(ctx, w.endpoint.port(), w.endpoint.accept)
	switch {
	case err == nil:
		return session, resource.ChannelStatus{Channel: resource.ChannelVsock, Reason: w.reason}, nil
	case !errors.Is(err, channel.ErrNoDetour):
		return nil, resource.ChannelStatus{}, err
	case w.wanted:
		return nil, resource.ChannelStatus{}, fmt.Errorf("vm.channel is vsock, but %w: %w", err, errdefs.ErrFailedPrecondition)
	}
	w.reason = wire.Text(err)
	return w.begin(greeting)
}

func (w *Way) begin(g *channel.Greeting) (*yamux.Session, resource.ChannelStatus, error) {
	session, err := g.Begin()
	return session, resource.ChannelStatus{Channel: resource.ChannelSerial, Reason: w.reason}, err
}
