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

// seal returns a copy of the program at path in memory that nobody can change
// any more (memfd_create(2)). crun and runc want to run from such a copy, so that
// a container cannot change the program through /proc/self/exe (CVE-2019-5736).
// What is not one already makes itself one and starts again; for crun, these are
// a bind mount, its removal, and a second loading of all its libraries.
//
// The copy's descriptor is one that can be executed with files.
func seal(path string, files []*os.File) (_ *os.File, err error) {
	program, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	info, err := program.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSealed {
		return nil, fmt.Errorf("%s: %d bytes are too many for a copy: %w", path, info.Size(), errors.ErrUnsupported)
	}
	fd, err := unix.MemfdCreate("oci-runtime", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	low := os.NewFile(uintptr(fd), path)
	defer low.Close()
	if _, err := io.Copy(low, program); err != nil {
		return nil, fmt.Errorf("copy %s: %w", path, err)
	}
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(low.Fd(), unix.F_ADD_SEALS, all); err != nil {
		return nil, fmt.Errorf("seal the copy of %s: %w", path, err)
	}
	high, err := unix.FcntlInt(low.Fd(), unix.F_DUPFD_CLOEXEC, beyond(files))
	if err != nil {
		return nil, fmt.Errorf("seal the copy of %s: %w", path, err)
	}
	return os.NewFile(uintptr(high), path), nil
}
