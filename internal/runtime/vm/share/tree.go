// Package share gives a virtual machine directories and files of the host: a tree
// with one entry for each, which a virtiofs daemon serves. What the machine may do
// to an entry is decided here, by mounts that it has no hold of.
package share

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Shared returns the mounts that need the host, with the name that the entry of
// each has in a tree as its source, and the others as they are.
func Shared(mounts []resource.Mount) []resource.Mount {
	out := slices.Clone(mounts)
	for i, m := range mounts {
		if m.Type != resource.MountTmpfs {
			out[i].Source = strconv.Itoa(i)
		}
	}
	return out
}

// Needed says whether one of the mounts needs the host.
func Needed(mounts []resource.Mount) bool {
	return slices.ContainsFunc(mounts, func(m resource.Mount) bool { return m.Type != resource.MountTmpfs })
}

// Check says what cannot be shared, all at once: a source that is neither a file
// nor a directory, or a mount whose changes are to go through while the machine
// runs.
func Check(mounts []resource.Mount) error {
	var faults []error
	for _, m := range mounts {
		if m.Type == resource.MountTmpfs {
			continue
		}
		info, err := os.Stat(m.Source)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("mount %s: source %s: %w: %w", m.Target, m.Source, errdefs.ErrInvalidArgument, errors.Unwrap(err)))
		case !info.IsDir() && !info.Mode().IsRegular():
			faults = append(faults, fmt.Errorf("mount %s: source %s: a virtual machine can be given files and directories of the host only: %w", m.Target, m.Source, errdefs.ErrInvalidArgument))
		}
		for _, o := range m.Options {
			if slices.Contains(crossing, strings.TrimPrefix(o, "r")) {
				faults = append(faults, fmt.Errorf("mount %s: option %s: a virtual machine sees mounts as they are when it starts: %w", m.Target, o, errdefs.ErrInvalidArgument))
			}
		}
	}
	return errors.Join(faults...)
}

// crossing are the kinds of propagation by which mounts of one side show up on
// the other.
var crossing = []string{"shared", "slave"}

// confined is what no entry is mounted without: the daemon, should a guest have
// taken it over, executes nothing, opens no device and follows no link.
const confined = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSYMFOLLOW

// Lay makes the tree at dir, which it makes too, in the mount namespace of the
// caller: the mounts that Shared names, those that are read-only as the kernel of
// the host keeps them. Nothing can be made beside them.
func Lay(dir string, mounts []resource.Mount) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := unix.Mount("shares", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	for i, m := range mounts {
		if m.Type == resource.MountTmpfs {
			continue
		}
		if err := layOne(filepath.Join(dir, strconv.Itoa(i)), m); err != nil {
			return fmt.Errorf("mount %s: source %s: %w", m.Target, m.Source, err)
		}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | confined}
	return unix.MountSetattr(unix.AT_FDCWD, dir, 0, &attr)
}

// layOne mounts a source at an entry.
func layOne(entry string, m resource.Mount) error {
	whole := uint(unix.AT_RECURSIVE)
	if slices.Contains(m.Options, "bind") {
		whole = 0
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|whole)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: confined, Propagation: unix.MS_PRIVATE}
	if m.ReadOnly || slices.Contains(m.Options, "ro") {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("confine it: %w", err)
	}
	if err := makeEntry(entry, tree); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, entry, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// makeEntry makes a directory or file for a mount to lie on.
func makeEntry(entry string, tree int) error {
	var info unix.Stat_t
	if err := unix.Fstatat(tree, "", &info, unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.Mkdir(entry, 0o755)
	}
	return os.WriteFile(entry, nil, 0o644)
}

// Remove takes a tree down; nothing there is no error.
func Remove(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
