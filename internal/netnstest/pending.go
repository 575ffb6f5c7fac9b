package netnstest

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pending reports whether there is something to receive on a socket, which stays.
func Pending(socket syscall.Conn) (pending bool) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return true // whoever receives gets the error
	}
	err = raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT|unix.MSG_PEEK)
		pending = n > 0 || err != nil && !errors.Is(err, unix.EAGAIN)
	})
	return pending || err != nil
}
