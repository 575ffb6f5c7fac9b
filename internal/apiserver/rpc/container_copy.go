package rpc

import (
	"context"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

// ContainerFiles copies in and out of containers.
type ContainerFiles interface {
	CopyFrom(ctx context.Context, name, path string, follow bool, send func(*typesv1.CopyPart) error) error
	CopyTo(ctx context.Context, name, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) (leftOut []string, err error)
}

func (h *containerHarness) CopyFrom(ctx context.Context, r *apiserverv1.ContainerServiceCopyFromRequest, stream apiserverv1connect.ContainerServiceCopyFromServerStream) error {
	return h.service.CopyFrom(ctx, r.GetName(), r.GetPath(), r.GetFollow(), func(part *typesv1.CopyPart) error {
		return stream.Send(&apiserverv1.ContainerServiceCopyFromResponse{Part: part})
	})
}

func (h *containerHarness) CopyTo(ctx context.Context, stream apiserverv1connect.ContainerServiceCopyToServerStream) (*apiserverv1.ContainerServiceCopyToResponse, error) {
	first, err := stream.Receive()
	if err != nil {
		return nil, err
	}
	leftOut, err := h.service.CopyTo(ctx, first.GetName(), first.GetPath(), first.GetKeepOwners(), parts.After(first.GetPart(), func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}))
	if err != nil {
		return nil, err
	}
	return &apiserverv1.ContainerServiceCopyToResponse{LeftOut: leftOut}, nil
}
