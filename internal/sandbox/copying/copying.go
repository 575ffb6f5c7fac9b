// Package copying is the part of a runtime helper's service that copies files in and
// out of its sandbox.
package copying

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

// Copier is an engine that copies in and out of its sandbox.
type Copier interface {
	// CopyFrom sends the parts of a copy of what is at a path.
	CopyFrom(ctx context.Context, path string, follow bool, send func(*typesv1.CopyPart) error) error
	// CopyTo unpacks a copy, of which receive returns the parts and then io.EOF.
	CopyTo(ctx context.Context, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) (leftOut []string, err error)
}

// Service is the calls of patchbay.sandbox.v1 that copy.
type Service struct {
	// Files returns the engine while there is something to copy. One that is no
	// Copier cannot: errdefs.ErrNotImplemented.
	Files func() (any, error)
}

func (s Service) copier() (Copier, error) {
	engine, err := s.Files()
	if err != nil {
		return nil, err
	}
	c, ok := engine.(Copier)
	if !ok {
		return nil, fmt.Errorf("this runtime cannot copy files: %w", errdefs.ErrNotImplemented)
	}
	return c, nil
}

// CopyFrom sends the archive of a path.
func (s Service) CopyFrom(ctx context.Context, r *sandboxv1.CopyFromRequest, stream sandboxv1connect.SandboxServiceCopyFromServerStream) error {
	c, err := s.copier()
	if err != nil {
		return err
	}
	return c.CopyFrom(ctx, r.GetPath(), r.GetFollow(), func(part *typesv1.CopyPart) error {
		return stream.Send(&sandboxv1.CopyFromResponse{Part: part})
	})
}

// CopyTo unpacks an archive to a path.
func (s Service) CopyTo(ctx context.Context, stream sandboxv1connect.SandboxServiceCopyToServerStream) (*sandboxv1.CopyToResponse, error) {
	c, err := s.copier()
	if err != nil {
		return nil, err
	}
	first, err := stream.Receive()
	if err != nil {
		return nil, err
	}
	leftOut, err := c.CopyTo(ctx, first.GetPath(), first.GetKeepOwners(), parts.After(first.GetPart(), func() (*typesv1.CopyPart, error) {
		message, err := stream.Receive()
		return message.GetPart(), err
	}))
	if err != nil {
		return nil, err
	}
	return &sandboxv1.CopyToResponse{LeftOut: leftOut}, nil
}
