package guest

import (
	"context"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/api/patchbay/guest/v1/guestv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

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
	if err != nil {
		return nil, err
	}
	return &guestv1.CopyToResponse{LeftOut: leftOut}, nil
}
