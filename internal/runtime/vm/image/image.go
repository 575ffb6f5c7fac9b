// Package image makes disks for virtual machines: one for each image, read-only and
// shared by all machines, and one for what a machine writes.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/vm/cache"
	"patchbay.dev/patchbay/internal/sandbox"
)

// Size is that of each disk in bytes, so that a machine goes on with another disk
// than the one that it was saved with. Only what is used takes room on the host. An
// image that is larger has a disk of its own size.
const Size = 64 << 30

// Root returns the disk with the content of layers, uppermost first, as an erofs file
// system. It is made once in the cache and known by the layers' directories, which
// never change.
func Root(ctx context.Context, directory string, layers []string) (*os.File, error) {
	sum := sha256.Sum256([]byte(strings.Join(layers, "\x00")))
	path := filepath.Join(directory, hex.EncodeToString(sum[:])+".erofs")
	f, err := cache.File(path, func(fresh string) error { return makeRoot(ctx, fresh, layers) })
	if err != nil {
		return nil, err
	}
	if err := extend(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// extend gives a disk the usual size, if it is not larger.
func extend(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() >= Size {
		return err
	}
	return os.Truncate(f.Name(), Size)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// makeRoot has mkfs.erofs read the layers as a container would see them.
func makeRoot(ctx context.Context, path string, layers []string) error {
	return Mounted(layers, func(root string) error {
		return run(ctx, "erofs-utils", "mkfs.erofs", "-zlz4", "--quiet", path, root)
	})
}

// Mounted has look see layers, uppermost first, at the path that it gets, as a
// container would see them. What it writes there is gone afterwards.
func Mounted(layers []string, look func(root string) error) (err error) {
	dir, err := os.MkdirTemp("", "patchbay-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sub := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(sub("upper"), 0o755), os.Mkdir(sub("work"), 0o755)); err != nil {
		return err
	}
	overlay := sandbox.RootFilesystem{LowerDirectories: layers, UpperDirectory: sub("upper"), WorkDirectory: sub("work"), Discardable: true}
	if err := rootfs.Mount(overlay, sub("root"), sub("empty")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rootfs.Unmount(sub("root"))) }()
	return look(sub("root"))
}

// Scratch returns the disk at path for what a machine writes, an ext4 file system
// that is made where it is not there.
func Scratch(ctx context.Context, path string) (*os.File, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		fresh := path + ".new"
		if err := makeScratch(ctx, fresh); err != nil {
			return nil, errors.Join(cache.Full(err, path), removeIfThere(fresh))
		}
		if err := os.Rename(fresh, path); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

func makeScratch(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(Size), f.Close()); err != nil {
		return fmt.Errorf("scratch disk: %w", err)
	}
	return run(ctx, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", path)
}

// run runs a program of a Debian package.
func run(ctx context.Context, pkg, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed (Debian: %s): %w", program, pkg, errdefs.ErrFailedPrecondition)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%s: %w: %s", program, err, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; "))
}
