package guest

import (
	"context"

	"golang.org/x/sys/unix"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/treecopy"
	"patchbay.dev/patchbay/internal/treecopy/parts"
	"patchbay.dev/patchbay/internal/wire"
)

// Open makes the mounts of what the host shares.
func (s *service) Open(_ context.Context, r *guestv1.OpenRequest) (*guestv1.OpenResponse, error) {
	root, err := rootfs.Open(newRoot)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.Bind(shared(wire.MountsFromProto(r.GetMounts()))); err != nil {
		return nil, err
	}
	if s.readOnly {
		if err := makeReadOnly(); err != nil {
			return nil, err
		}
	}
	return &guestv1.OpenResponse{}, nil
}

// CopyFrom sends the archive of a path.
func (s *service) CopyFrom(ctx context.Context, r *guestv1.CopyFromRequest, stream guestv1connect.GuestServiceCopyFromServerStream) error {
	t, err := treecopy.Container(newRoot)
	if err != nil {
		return err
	}
	defer t.Close()
	return parts.Send(ctx, t, r.GetPath(), r.GetFollow(), func(part *typesv1.CopyPart) error {
		return stream.Send(&guestv1.CopyFromResponse{Part: part})
	})
}

// CopyTo unpacks an archive to a path.
func (s *service) CopyTo(ctx context.Context, stream guestv1connect.GuestServiceCopyToServerStream) (*guestv1.CopyToResponse, error) {
	t, err := treecopy.Container(newRoot)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	first, err := stream.Receive()
	if err != nil {
		return nil, err
	}
	leftOut, err := parts.Receive(ctx, t, first.GetPath(), first.GetKeepOwners(), parts.After(first.GetPart(), func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}))
	if _, gone := s.process(""); gone != nil {
		unix.Sync() // there is no end of a process that would do so, and then the machine is ended
	}
	if err != nil {
		return nil, err
	}
	return &guestv1.CopyToResponse{LeftOut: leftOut}, nil
}
