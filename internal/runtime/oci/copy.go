package oci

import (
	"context"
	"fmt"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/sandbox/copying"
	"patchbay.dev/patchbay/internal/treecopy"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

var _ copying.Copier = (*Engine)(nil)

// tree is the container as its main process sees it, with all of its mounts.
func (e *Engine) tree() (*treecopy.Tree, error) {
	e.mu.Lock()
	main := e.main
	e.mu.Unlock()
	return treecopy.Container(fmt.Sprintf("/proc/%d/root", main.child.PID))
}

// CopyFrom implements copying.Copier.
func (e *Engine) CopyFrom(ctx context.Context, path string, follow bool, send func(*typesv1.CopyPart) error) error {
	t, err := e.tree()
	if err != nil {
		return err
	}
	defer t.Close()
	return parts.Send(ctx, t, path, follow, send)
}

// CopyTo implements copying.Copier.
func (e *Engine) CopyTo(ctx context.Context, path string, keepOwners bool, receive func() (*typesv1.CopyPart, error)) ([]string, error) {
	t, err := e.tree()
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return parts.Receive(ctx, t, path, keepOwners, receive)
}
