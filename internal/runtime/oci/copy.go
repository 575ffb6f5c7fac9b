package oci

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/copying"
	"patchbay.dev/patchbay/internal/treecopy"
	"patchbay.dev/patchbay/internal/treecopy/parts"
)

var (
	_ copying.Copier = (*Engine)(nil)
	_ sandbox.Opener = (*Engine)(nil)
)

// Open implements sandbox.Opener.
func (e *Engine) Open(_ context.Context, c sandbox.Configuration) error {
	if err := rootfs.Mount(c.RootFilesystem, e.path("rootfs"), e.path("empty")); err != nil {
		return err
	}
	root, err := rootfs.Open(e.path("rootfs"))
	if err != nil {
		return err
	}
	defer root.Close()
	if err := prepareMounts(root, c); err != nil {
		return err
	}
	if err := root.Bind(c.Mounts); err != nil || !c.RootFilesystem.ReadOnly {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return unix.MountSetattr(unix.AT_FDCWD, e.path("rootfs"), 0, &attr)
}

// tree is the container as its main process sees it, with all of its mounts; of one
// that does not run what Open has made.
func (e *Engine) tree() (*treecopy.Tree, error) {
	e.mu.Lock()
	main := e.main
	e.mu.Unlock()
	if main == nil {
		return treecopy.Container(e.path("rootfs"))
	}
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
