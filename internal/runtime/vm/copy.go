package vm

import (
	"context"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/runtime/vm/share"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/copying"
	"patchbay.dev/patchbay/internal/treecopy/parts"
	"patchbay.dev/patchbay/internal/wire"
)

var (
	_ copying.Copier = (*Engine)(nil)
	_ sandbox.Opener = (*Engine)(nil)
)

// Open implements sandbox.Opener: a machine without a network has the container's disks
// and shares. The host does not look into a file system that a guest has written.
func (e *Engine) Open(ctx context.Context, c sandbox.Configuration) error {
	e.opened = true
	if err := e.Prepare(ctx, c); err != nil {
		return err
	}
	if _, err := e.guest.Open(ctx, &guestv1.OpenRequest{Mounts: wire.MountsToProto(share.Shared(c.Mounts))}); err != nil {
		return e.explain(err)
	}
	return nil
}

// CopyFrom implements copying.Copier: the agent copies.
func (e *Engine) CopyFrom(ctx context.Context, path string, follow bool, send func(*typesv1.CopyPart) error) error {
	stream, err := e.guest.CopyFrom(ctx, &guestv1.CopyFromRequest{Path: path, Follow: follow})
	if err != nil {
		return e.explain(err)
	}
	defer func() { _ = stream.Close() }() // all is read, or nobody wants it
	return e.explain(parts.Forward(func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}, send))
}

// CopyTo implements copying.Copier.
func (e *Engine) CopyTo(ctx context.Context, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx) // so that the agent hears it where the sender fails
	defer cancel()
	stream, err := e.guest.CopyTo(ctx)
	if err != nil {
		return nil, e.explain(err)
	}
	message := &guestv1.CopyToRequest{Path: path, KeepOwners: keepOwners}
	if err := parts.Upload(receive, func(part *typesv1.CopyPart) error {
		message.Part = part
		err := stream.Send(message)
		message = &guestv1.CopyToRequest{}
		return err
	}); err != nil {
		return nil, err
	}
	answer, err := stream.CloseAndReceive()
	if err != nil {
		return nil, e.explain(err)
	}
	return answer.GetLeftOut(), nil
}
