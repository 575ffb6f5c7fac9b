package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/resource"
)

// Bind mounts what binds and volumes show at their targets, the upper ones first.
// Targets are made where they are not there, as the start of the container would.
func (r *Root) Bind(mounts []resource.Mount) error {
	mounts = slices.DeleteFunc(slices.Clone(mounts), func(m resource.Mount) bool { return m.Type == resource.MountTmpfs })
	depth := func(m resource.Mount) int { return strings.Count(path.Clean(m.Target), "/") }
	slices.SortStableFunc(mounts, func(a, b resource.Mount) int { return depth(a) - depth(b) })
	for _, m := range mounts {
		if err := r.bindOne(m); err != nil {
			return fmt.Errorf("mount %s: source %s: %w", m.Target, m.Source, err)
		}
	}
	return nil
}

func (r *Root) bindOne(m resource.Mount) error {
	whole := uint(unix.AT_RECURSIVE)
	if slices.Contains(m.Options, "bind") {
		whole = 0
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|whole)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if m.ReadOnly || slices.Contains(m.Options, "ro") {
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return err
	}
	target, err := r.target(m.Target, tree)
	if err != nil {
		return err
	}
	defer target.Close()
	return unix.MoveMount(tree, "", int(target.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// target opens the place for a mount, which is made as a directory or a file.
func (r *Root) target(name string, tree int) (*os.File, error) {
	f, err := r.open(name, unix.O_PATH)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	var info unix.Stat_t
	if err := unix.Fstatat(tree, "", &info, unix.AT_EMPTY_PATH); err != nil {
		return nil, err
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = r.MakeDirectory(name, spec.User{})
	} else {
		err = r.makeFile(name)
	}
	if err != nil {
		return nil, err
	}
	return r.open(name, unix.O_PATH)
}

func (r *Root) makeFile(name string) error {
	directory, base := path.Split(path.Clean(name))
	if err := r.MakeDirectory(directory, spec.User{}); err != nil {
		return err
	}
	parent, err := r.open(directory, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer parent.Close()
	fd, err := unix.Openat(int(parent.Fd()), base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
