package relay

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// read and write are those of the kernel, of a socket that does not block. The scheduler of Go is not told
// of them: it would give the loop's processor to another thread, which one that does not wait
// wants back at once.
func read(fd int, data []byte) (int, error)  { return call(unix.SYS_READ, fd, data) }
func write(fd int, data []byte) (int, error) { return call(unix.SYS_WRITE, fd, data) }

func call(number uintptr, fd int, data []byte) (int, error) {
	n, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
