// Package treecopy copies files and directories in and out of containers as
// archives (tar, in the form of POSIX.1-2001), by the rules of cp.
//
// Either side may be hostile. Paths of a container are resolved by the kernel with
// its root as the root (openat2(2)); entries of an archive that is unpacked on the
// host do not leave the directory that they go to, wherever links lead. Files are
// opened by what was looked at, so that nobody can put others in their place.
package treecopy

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Tree is where paths are resolved: in a container's root, or the host.
type Tree struct {
	root    *os.File
	prefix  string // of all paths, in root
	resolve uint64
}

// Container returns the tree of the container whose root directory is at a path
// of the host.
func Container(root string) (*Tree, error) {
	f, err := openDirectory(root)
	if err != nil {
		return nil, err
	}
	return &Tree{root: f, resolve: unix.RESOLVE_IN_ROOT}, nil
}

// Host returns the tree of the host, for absolute paths.
func Host() (*Tree, error) {
	f, err := openDirectory("/")
	if err != nil {
		return nil, err
	}
	return &Tree{root: f}, nil
}

func openDirectory(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault(name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Close closes the tree.
func (t *Tree) Close() { _ = t.root.Close() } // it was for looking only

// below is the tree of what goes into a directory: links of a container lead where
// they lead in it, those of the host nowhere outside of the directory.
func (t *Tree) below(directory string) (*Tree, error) {
	if t.resolve == unix.RESOLVE_IN_ROOT {
		fd, err := unix.FcntlInt(t.root.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		return &Tree{root: os.NewFile(uintptr(fd), t.root.Name()), prefix: directory, resolve: t.resolve}, nil
	}
	f, err := t.open(directory, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &Tree{root: f, resolve: unix.RESOLVE_BENEATH}, nil
}

// open opens a path. The kernel gives up where somebody moves directories at the
// same time (EAGAIN), and is asked again.
func (t *Tree) open(name string, flags uint64) (*os.File, error) {
	within := strings.TrimLeft(path.Join(t.prefix, name), "/")
	for range 1000 {
		fd, err := unix.Openat2(int(t.root.Fd()), cmp.Or(within, "."), &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: t.resolve})
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EXDEV):
			return nil, fmt.Errorf("%s: a link in it leads out of the directory that is copied to: %w", name, errdefs.ErrInvalidArgument)
		default:
			return nil, fault(name, err)
		}
	}
	return nil, fault(name, unix.EAGAIN)
}

// look says what there is at a path.
func (t *Tree) look(name string) (situation, error) {
	clean, _, _ := parse(name)
	f, err := t.open(clean, unix.O_PATH)
	if err == nil {
		defer f.Close()
		info, err := stat(f)
		if err != nil {
			return situation{}, err
		}
		return situation{exists: true, directory: kindOf(info) == unix.S_IFDIR, parent: true}, nil
	}
	if !errdefs.IsNotFound(err) {
		return situation{}, err
	}
	parent, err := t.open(path.Dir(clean), unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		parent.Close()
		// A link to what is not there: what is copied would take its place unasked.
		if link, err := t.openLink(clean); err == nil {
			link.Close()
			return situation{}, fmt.Errorf("%s: is a link to what is not there: %w", name, errdefs.ErrInvalidArgument)
		}
		return situation{parent: true}, nil
	}
	if errdefs.IsNotFound(err) {
		err = nil
	}
	return situation{}, err
}

// openLink opens the entry itself where a path leads to a link.
func (t *Tree) openLink(name string) (*os.File, error) {
	parent, err := t.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return openEntry(parent, path.Base(name))
}

// openEntry opens an entry of a directory to look at it; a link itself.
func openEntry(directory *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(directory.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault(name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// reopen opens what was looked at, whatever is at its path by now.
func reopen(f *os.File, flags int) (*os.File, error) {
	fd, err := unix.Open(self(f), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault(f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// self is a path of an open file, of whatever kind it is.
func self(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func stat(f *os.File) (*unix.Stat_t, error) {
	var info unix.Stat_t
	if err := unix.Fstatat(int(f.Fd()), "", &info, unix.AT_EMPTY_PATH); err != nil {
		return nil, fault(f.Name(), err)
	}
	return &info, nil
}

func kindOf(info *unix.Stat_t) uint32 { return info.Mode & unix.S_IFMT }

// fault gives an error of the file system its name and kind.
func fault(name string, err error) error {
	var kind error = errdefs.ErrInternal
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind = errdefs.ErrNotFound
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
		kind = errdefs.ErrInvalidArgument
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.EFBIG):
		kind = errdefs.ErrResourceExhausted
	case errors.Is(err, unix.EROFS), errors.Is(err, os.ErrPermission), errors.Is(err, unix.EBUSY):
		kind = errdefs.ErrFailedPrecondition
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		err = number // without the name that it is given here
	}
	return fmt.Errorf("%s: %w: %w", name, err, kind)
}
