package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/moby/sys/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// inRoot has f see the container's root as its own, so that links in paths lead
// where they lead in the container. The thread that does so is not used again.
func inRoot(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("unshare: %w", err)
			return
		}
		if err := errors.Join(unix.Chroot(newRoot), unix.Chdir("/")); err != nil {
			done <- fmt.Errorf("change root: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// mountAll makes the mounts of a container, in their order, but for /proc, which
// only a process of its PID namespace can mount; it gets its place here, before the
// root file system may become read-only.
func mountAll(mounts []specs.Mount) error {
	for _, m := range mounts {
		if m.Type == "proc" {
			if err := inRoot(func() error { return os.MkdirAll(m.Destination, 0o555) }); err != nil {
				return fmt.Errorf("mount %s: %w", m.Destination, err)
			}
			continue
		}
		if err := mountOne(m); err != nil {
			return fmt.Errorf("mount %s: %w", m.Destination, err)
		}
		if m.Destination == "/dev" {
			if err := inRoot(makeDevices); err != nil {
				return fmt.Errorf("/dev: %w", err)
			}
		}
	}
	return nil
}

func mountOne(m specs.Mount) error {
	switch m.Type {
	case "bind":
		return bind(m)
	case "cgroup":
		m.Type, m.Source = "cgroup2", "cgroup2"
	}
	return inRoot(func() error {
		if err := os.MkdirAll(m.Destination, 0o755); err != nil {
			return err
		}
		return mount.Mount(m.Source, m.Destination, m.Type, strings.Join(m.Options, ","))
	})
}

// bind lays a file or directory of the guest over the target, which is made where
// it is not there. What the host mounts below a share is mounted here when it is
// come across.
func bind(m specs.Mount) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer unix.Close(tree)
	var info unix.Stat_t
	if err := unix.Fstatat(tree, "", &info, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	directory := info.Mode&unix.S_IFMT == unix.S_IFDIR
	attr := attributes(m.Options)
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("options %v: %w", m.Options, err)
	}
	return inRoot(func() error {
		if err := makeTarget(m.Destination, directory); err != nil {
			return err
		}
		return unix.MoveMount(tree, "", unix.AT_FDCWD, m.Destination, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
	})
}

// attributes are what options make of a mount (mount(8), mount_setattr(2)); the
// later of two that contradict each other counts.
func attributes(options []string) unix.MountAttr {
	var a unix.MountAttr
	flags := map[string]uint64{
		"ro": unix.MOUNT_ATTR_RDONLY, "nosuid": unix.MOUNT_ATTR_NOSUID, "nodev": unix.MOUNT_ATTR_NODEV, "noexec": unix.MOUNT_ATTR_NOEXEC,
		"nodiratime": unix.MOUNT_ATTR_NODIRATIME, "nosymfollow": unix.MOUNT_ATTR_NOSYMFOLLOW,
	}
	positive := map[string]string{"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "diratime": "nodiratime", "symfollow": "nosymfollow"}
	times := map[string]uint64{"noatime": unix.MOUNT_ATTR_NOATIME, "strictatime": unix.MOUNT_ATTR_STRICTATIME, "relatime": unix.MOUNT_ATTR_RELATIME}
	for _, o := range options {
		if flag, ok := flags[o]; ok {
			a.Attr_set |= flag
		}
		if negative, ok := positive[o]; ok {
			a.Attr_set &^= flags[negative]
		}
		if when, ok := times[o]; ok { // one value, not a set of flags
			a.Attr_clr |= unix.MOUNT_ATTR__ATIME
			a.Attr_set = a.Attr_set&^unix.MOUNT_ATTR__ATIME | when
		}
	}
	return a
}

func makeTarget(path string, directory bool) error {
	if directory {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if target, err := os.Readlink(path); err == nil { // a link to what is not there
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// makeDevices makes the devices and links that every container has (OCI runtime
// specification, config-linux.md, "Default Devices" and "Dev symbolic links").
func makeDevices() error {
	for name, number := range map[string]uint32{
		"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9,
	} {
		if err := makeNode("/dev/"+name, unix.Mkdev(1, number)); err != nil {
			return err
		}
	}
	if err := makeNode("/dev/tty", unix.Mkdev(5, 0)); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

func makeNode(path string, device uint64) error {
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(device)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Chmod(path, 0o666) // whatever the umask
}

// makeReadOnly makes the root file system read-only, without what is mounted in it.
func makeReadOnly() error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return unix.MountSetattr(unix.AT_FDCWD, newRoot, 0, &attr)
}
