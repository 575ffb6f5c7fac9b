package treecopy

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/random"
)

// Arrival says how an archive is to be unpacked.
type Arrival struct {
	// Source is what the archive holds, for the rules of cp; nil: the archive is
	// unpacked in a directory as it is.
	Source *Source
	// Keep gives files the owners, all mode bits and extended attributes that the
	// archive says. Else they belong to the caller, and lose setuid and setgid: they
	// would be another user's.
	Keep bool
}

// Unpack unpacks an archive to a path. Of what is there already, files, links and
// FIFOs are replaced as a whole or not at all; directories stay, with what is in
// them. Devices are left out; it returns their names.
func (t *Tree) Unpack(ctx context.Context, r io.Reader, to string, a Arrival) (leftOut []string, err error) {
	where, err := t.destination(to, a.Source)
	if err != nil {
		return nil, err
	}
	within, err := t.below(where.directory)
	if err != nil {
		return nil, err
	}
	defer within.Close()
	u := &unpacker{tree: within, keep: a.Keep}
	archive := tar.NewReader(reader{ctx, r})
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return u.leftOut.names, u.finish()
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if err := u.unpack(header, archive, a.Source, where.name); err != nil {
			return nil, err
		}
	}
}

// unreadable says that an archive is none, unless it is how its reading ended.
func unreadable(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("archive: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return err
}

// destination looks at what is there and applies the rule.
func (t *Tree) destination(to string, s *Source) (place, error) {
	if s != nil {
		if err := s.check(); err != nil {
			return place{}, err
		}
	}
	found, err := t.look(to)
	if err != nil {
		return place{}, err
	}
	if s != nil {
		return destination(to, *s, found)
	}
	switch {
	case !found.exists:
		return place{}, fault(to, unix.ENOENT)
	case !found.directory:
		return place{}, fmt.Errorf("%s: is not a directory: an archive is unpacked in one: %w", to, errdefs.ErrInvalidArgument)
	}
	clean, _, _ := parse(to)
	return place{clean, "."}, nil
}

type unpacker struct {
	tree    *Tree
	keep    bool
	leftOut leftOut
	made    []madeDirectory // whose modes and times are set at the end
}

type madeDirectory struct {
	name   string
	header *tar.Header
}

// unpack makes one entry.
func (u *unpacker) unpack(h *tar.Header, content io.Reader, s *Source, name string) error {
	if s == nil {
		s = &Source{Name: "."}
	}
	place := func(entry string) (string, error) { return renamed(strings.TrimLeft(entry, "/"), *s, name) }
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	target, err := place(h.Name)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return u.makeDirectory(target, h)
	}
	directory, err := u.directory(path.Dir(target))
	if err != nil {
		return err
	}
	defer directory.Close()
	e := entry{directory: directory, name: path.Base(target), shown: target}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.makeFile(e, h, content)
	case tar.TypeSymlink:
		return u.put(e, h, func(fresh string) error { return unix.Symlinkat(h.Linkname, e.fd(), fresh) })
	case tar.TypeFifo:
		return u.put(e, h, func(fresh string) error { return unix.Mknodat(e.fd(), fresh, unix.S_IFIFO|0o600, 0) })
	case tar.TypeLink:
		first, err := place(h.Linkname)
		if err != nil {
			return err
		}
		return u.link(e, first)
	}
	u.leftOut.add(h.Name)
	return nil
}

// entry is a place for something in an open directory.
type entry struct {
	directory *os.File
	name      string
	shown     string // to people
}

func (e entry) fd() int { return int(e.directory.Fd()) }

// directory opens a directory below the tree, and makes those that are not there.
func (u *unpacker) directory(name string) (*os.File, error) {
	f, err := u.tree.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if !errdefs.IsNotFound(err) || name == "." {
		return f, err
	}
	if err := u.makeDirectory(name, nil); err != nil {
		return nil, err
	}
	return u.tree.open(name, unix.O_PATH|unix.O_DIRECTORY)
}

// makeDirectory makes a directory unless there is one, which may be by a link.
func (u *unpacker) makeDirectory(name string, h *tar.Header) error {
	if name == "." {
		return nil
	}
	parent, err := u.directory(path.Dir(name))
	if err != nil {
		return err
	}
	defer parent.Close()
	err = unix.Mkdirat(int(parent.Fd()), path.Base(name), 0o755)
	switch {
	case errors.Is(err, unix.EEXIST):
		there, err := u.tree.open(name, unix.O_PATH)
		if err != nil {
			return err
		}
		defer there.Close()
		info, err := stat(there)
		if err != nil {
			return err
		}
		if kindOf(info) != unix.S_IFDIR {
			return fmt.Errorf("%s: is not a directory: a directory cannot take its place: %w", name, errdefs.ErrFailedPrecondition)
		}
		if !u.keep {
			return nil
		}
	case err != nil:
		return fault(name, err)
	}
	if h != nil {
		u.made = append(u.made, madeDirectory{name, h})
	}
	return nil
}

// finish gives directories their modes and times, those within first: a mode may
// keep others from being made, and making them changes times.
func (u *unpacker) finish() error {
	for _, made := range slices.Backward(u.made) {
		directory, err := u.tree.open(made.name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		err = errors.Join(u.describe(directory, made.header), directory.Close())
		if err != nil {
			return fmt.Errorf("%s: %w", made.name, err)
		}
	}
	return nil
}

// describe gives an open file or directory what a header says of it. The owner
// comes first: to change it clears mode bits and capabilities.
func (u *unpacker) describe(f *os.File, h *tar.Header) error {
	mode := uint32(h.Mode & 0o777)
	if u.keep {
		mode = uint32(h.Mode & 0o7777)
		if err := unix.Fchown(int(f.Fd()), h.Uid, h.Gid); err != nil {
			return fault("owner", err)
		}
	}
	if err := unix.Fchmod(int(f.Fd()), mode); err != nil {
		return fault("mode", err)
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, attributePrefix)
		if !ok || !u.keep || !kept(name) {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fault("attribute "+name, err)
		}
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, timespec(h.ModTime)}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, self(f), times[:], 0); err != nil {
		return fault("time", err)
	}
	return nil
}

// timespec is a time that file systems take; an archive may have said any.
func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: max(0, t.Unix()), Nsec: int64(t.Nanosecond())}
}

// put makes something under a name that nobody knows and gives it its own.
func (u *unpacker) put(e entry, h *tar.Header, make func(fresh string) error) error {
	fresh := freshName()
	if err := make(fresh); err != nil {
		return fault(e.shown, err)
	}
	err := u.describeEntry(e, fresh, h)
	if err == nil {
		err = e.take(fresh)
	}
	if err != nil {
		return errors.Join(err, e.remove(fresh))
	}
	return nil
}

func freshName() string { return ".patchbay-" + random.Text(16) }

// describeEntry is describe for what cannot be opened: links and FIFOs.
func (u *unpacker) describeEntry(e entry, name string, h *tar.Header) error {
	if u.keep {
		if err := unix.Fchownat(e.fd(), name, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fault(e.shown, err)
		}
	}
	if h.Typeflag == tar.TypeFifo {
		if err := e.setMode(name, unix.S_IFIFO, uint32(h.Mode&0o777)); err != nil {
			return err
		}
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, timespec(h.ModTime)}
	if err := unix.UtimesNanoAt(e.fd(), name, times[:], unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault(e.shown, err)
	}
	return nil
}

// take moves what is there under a fresh name to its own, in place of what has it.
func (e entry) take(fresh string) error {
	err := unix.Renameat(e.fd(), fresh, e.fd(), e.name)
	switch {
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: is a directory: what is no directory cannot take its place: %w", e.shown, errdefs.ErrFailedPrecondition)
	case err != nil:
		return fault(e.shown, err)
	}
	return nil
}

func (e entry) remove(name string) error {
	if err := unix.Unlinkat(e.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fault(e.shown, err)
	}
	return nil
}

// setMode sets the mode of what is of a kind. Somebody in a container may have put
// a link in its place, which chmod(2) would follow.
func (e entry) setMode(name string, kind, mode uint32) error {
	f, err := openEntry(e.directory, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := stat(f); err != nil || kindOf(info) != kind {
		return errors.Join(err, fmt.Errorf("%s: somebody has changed it meanwhile: %w", e.shown, errdefs.ErrAborted))
	}
	if err := os.Chmod(self(f), os.FileMode(mode)); err != nil {
		return fault(e.shown, err)
	}
	return nil
}

// makeFile makes a file. One that is a mount itself, such as a container's
// /etc/hosts, cannot be replaced and is written to.
func (u *unpacker) makeFile(e entry, h *tar.Header, content io.Reader) error {
	fresh := freshName()
	fd, err := unix.Openat(e.fd(), fresh, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fault(e.shown, err)
	}
	f := os.NewFile(uintptr(fd), e.shown)
	defer f.Close()
	if err := u.fill(f, h, content); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", e.shown, err), e.remove(fresh))
	}
	err = e.take(fresh)
	if errors.Is(err, unix.EBUSY) {
		return errors.Join(e.overwrite(f), e.remove(fresh))
	}
	if err != nil {
		return errors.Join(err, e.remove(fresh))
	}
	return nil
}

func (u *unpacker) fill(f *os.File, h *tar.Header, content io.Reader) error {
	if _, err := io.Copy(f, content); err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			return fault("write", path.Err)
		}
		return unreadable(err)
	}
	return u.describe(f, h)
}

// overwrite writes what is in a file to the one that is there.
func (e entry) overwrite(from *os.File) error {
	there, err := openEntry(e.directory, e.name)
	if err != nil {
		return err
	}
	defer there.Close()
	if info, err := stat(there); err != nil || kindOf(info) != unix.S_IFREG {
		return errors.Join(err, fault(e.shown, unix.EBUSY))
	}
	to, err := reopen(there, unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = from.Seek(0, io.SeekStart)
	if err == nil {
		_, err = io.Copy(to, from)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fault(e.shown, err)
	}
	return nil
}

// link makes a further name of a file of the archive.
func (u *unpacker) link(e entry, first string) error {
	directory, err := u.directory(path.Dir(first))
	if err != nil {
		return err
	}
	defer directory.Close()
	fresh := freshName()
	if err := unix.Linkat(int(directory.Fd()), path.Base(first), e.fd(), fresh, 0); err != nil {
		return fault(e.shown, err)
	}
	// Where both names are of one file already, the fresh one stays.
	return errors.Join(e.take(fresh), e.remove(fresh))
}
