package sandbox

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/api/patchbay/sandbox/v1/sandboxv1connect"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

// Copier is an Engine that copies in and out of a sandbox that lives.
type Copier interface {
	// CopyFrom sends the parts of a copy of what is at a path.
	CopyFrom(ctx context.Context, path string, follow bool, send func(*typesv1.CopyPart) error) error
	// CopyTo unpacks a copy, of which receive returns the parts and then io.EOF.
	CopyTo(ctx context.Context, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) (leftOut []string, err error)
}

// copier returns the engine while there is a root file system to look into.
func (s *Sandbox) copier() (Copier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Created && s.state != Running {
		return nil, fmt.Errorf("sandbox %s: is %v: want created or running: %w", s.config.ID, s.state, errdefs.ErrFailedPrecondition)
	}
	c, ok := s.config.Engine.(Copier)
	if !ok {
		return nil, fmt.Errorf("sandbox %s: its runtime cannot copy files: %w", s.config.ID, errdefs.ErrNotImplemented)
	}
	return c, nil
}

// CopyFrom sends the archive of a path.
func (h *Harness) CopyFrom(ctx context.Context, r *sandboxv1.CopyFromRequest, stream sandboxv1connect.SandboxServiceCopyFromServerStream) error {
	c, err := h.sandbox.copier()
	if err != nil {
		return err
	}
	return c.CopyFrom(ctx, r.GetPath(), r.GetFollow(), func(part *typesv1.CopyPart) error {
		return stream.Send(&sandboxv1.CopyFromResponse{Part: part})
	})
}

// CopyTo unpacks an archive to a path.
func (h *Harness) CopyTo(ctx context.Context, stream sandboxv1connect.SandboxServiceCopyToServerStream) (*sandboxv1.CopyToResponse, error) {
	c, err := h.sandbox.copier()
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
