// Package rootfs mounts a container's root file system and looks into it. Every
// path of the container is resolved with its root as the root, so that its
// links cannot lead out.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/sandbox"
)

// maxOptions is how long the options of a mount may be: the kernel takes one page
// with its final zero (mount(2)).
const maxOptions = 4095

// Mount mounts the overlay of a container at target, which it makes. It belongs
// to the calling process's mount namespace. empty is an empty directory, for an
// image without layers.
func Mount(r sandbox.RootFilesystem, target, empty string) error {
	if err := os.Mkdir(target, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("root file system: %w", err)
	}
	lower := r.LowerDirectories
	if len(lower) == 0 {
		if err := os.Mkdir(empty, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("root file system: %w", err)
		}
		lower = []string{empty}
	}
	options := overlayOptions(lower, r)
	if len(options) > maxOptions {
		short, closeAll, err := shorten(lower)
		defer closeAll()
		if err != nil {
			return fmt.Errorf("root file system: %w", err)
		}
		options = overlayOptions(short, r)
	}
	if len(options) > maxOptions {
		return fmt.Errorf("root file system: %d layers: too many for one overlay mount", len(lower))
	}
	if err := mountOverlay(target, options, r); err != nil {
		return fmt.Errorf("root file system: mount an overlay of %d layers at %s: %w", len(lower), target, err)
	}
	return nil
}

// volatileOption makes overlayfs leave writing back to the file system below:
// else an unmount waits until all of that, of whomever, is on the disk
// (overlayfs.rst, "Volatile mount"; since Linux 5.10).
const volatileOption = ",volatile"

func mountOverlay(target, options string, r sandbox.RootFilesystem) error {
	if !r.Discardable || len(options)+len(volatileOption) > maxOptions {
		return unix.Mount("overlay", target, "overlay", 0, options)
	}
	// The kernel's mark of an earlier volatile mount. It keeps others from using
	// what a crash of the host may have damaged; then the container is gone.
	if err := os.RemoveAll(filepath.Join(r.WorkDirectory, "work", "incompat")); err != nil {
		return err
	}
	err := unix.Mount("overlay", target, "overlay", 0, options+volatileOption)
	if errors.Is(err, unix.EINVAL) { // an older kernel
		err = unix.Mount("overlay", target, "overlay", 0, options)
	}
	return err
}

// Unmount removes what Mount made; nothing there is no error. It is detached
// where something still uses it.
func Unmount(target string) error {
	err := unix.Unmount(target, 0)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(target, unix.MNT_DETACH)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

func overlayOptions(lower []string, r sandbox.RootFilesystem) string {
	escaped := make([]string, len(lower))
	for i, dir := range lower {
		escaped[i] = escape(dir, `\:,`)
	}
	return "lowerdir=" + strings.Join(escaped, ":") +
		",upperdir=" + escape(r.UpperDirectory, `\,`) + ",workdir=" + escape(r.WorkDirectory, `\,`)
}

// escape marks the characters that separate options (overlayfs.rst).
func escape(s, special string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(special, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// shorten replaces directories by open ones: the options of an image with some 40
// layers are longer than a page otherwise.
func shorten(dirs []string) (short []string, closeAll func(), err error) {
	var open []*os.File
	closeAll = func() {
		for _, f := range open {
			f.Close()
		}
	}
	for _, dir := range dirs {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, closeAll, fmt.Errorf("layer %s: %w", dir, err)
		}
		open = append(open, os.NewFile(uintptr(fd), dir))
		short = append(short, fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	return short, closeAll, nil
}
