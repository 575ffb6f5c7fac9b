package program

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxSealed is the size up to which a program is copied: crun is half a
// megabyte, runc ten.
const maxSealed = 2 << 20

// beyond returns the least number of a descriptor that stays what it is until a
// program is executed with files: syscall.ForkExec puts these at the lowest numbers,
// and what is in their way, and a pipe of its own, right above the greatest.
func beyond(files []*os.File) int {
	greatest := len(files)
	for _, f := range files {
		greatest = max(greatest, int(f.Fd()))
	}
	return greatest + len(files) + 3
}

// Copy is a copy of a program in memory that nobody can change any more
// (memfd_create(2)). crun and runc want to run from such a copy, so that
// a container cannot change the program through /proc/self/exe (CVE-2019-5736).
// What is not one already makes itself one and starts again; for crun, these are
// a bind mount, its removal, and a second loading of all its libraries.
type Copy struct {
	file *os.File
	of   version
}

// version tells a file from what it was before, and from another in its place.
type version struct {
	device, inode uint64
	size          int64
	modified      unix.Timespec
	changed       unix.Timespec
}

func versionOf(s unix.Stat_t) version {
	return version{device: s.Dev, inode: s.Ino, size: s.Size, modified: s.Mtim, changed: s.Ctim}
}

// is reports whether it is that of what is at path now.
func (v version) is(path string) bool {
	var info unix.Stat_t
	return unix.Stat(path, &info) == nil && versionOf(info) == v
}

// Load copies the program at path, unless it is too large to be worth it.
func Load(path string) (_ *Copy, err error) {
	program, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	var info unix.Stat_t
	if err := unix.Fstat(int(program.Fd()), &info); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if info.Size > maxSealed {
		return nil, fmt.Errorf("%s: %d bytes are too many for a copy: %w", path, info.Size, errors.ErrUnsupported)
	}
	fd, err := unix.MemfdCreate("oci-runtime", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	c := &Copy{file: os.NewFile(uintptr(fd), path), of: versionOf(info)}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if _, err := io.Copy(c.file, program); err != nil {
		return nil, fmt.Errorf("copy %s: %w", path, err)
	}
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(c.file.Fd(), unix.F_ADD_SEALS, all); err != nil {
		return nil, fmt.Errorf("seal the copy of %s: %w", path, err)
	}
	return c, nil
}

// Close gives the memory back.
func (c *Copy) Close() { c.file.Close() }

// above returns the copy with a descriptor that can be executed with files.
func (c *Copy) above(files []*os.File) (*os.File, error) {
	high, err := unix.FcntlInt(c.file.Fd(), unix.F_DUPFD_CLOEXEC, beyond(files))
	if err != nil {
		return nil, fmt.Errorf("the copy of %s: %w", c.file.Name(), err)
	}
	return os.NewFile(uintptr(high), c.file.Name()), nil
}

// copy returns a copy of the program as it is now, to be executed with files.
// One that was made in advance is used up.
func (p Program) copy(files []*os.File) (_ *os.File, err error) {
	c := p.Copy
	if c != nil && !c.of.is(p.Path) {
		c.Close()
		c = nil
	}
	if c == nil {
		if c, err = Load(p.Path); err != nil {
			return nil, err
		}
	}
	defer c.Close()
	return c.above(files)
}
