package direct

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// blocking is a connection whose reads wait in the kernel, in the thread that called them. Those
// of package net wait in a thread of the Go runtime's, which takes a process with
// one caller two switches and mostly a further thread.
type blocking struct{ *os.File }

// dialBlocking connects to a unix socket. Its errors are those of connect(2) and ctx's.
func dialBlocking(ctx context.Context, socket string) (Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Not to wait for a server that takes no connections: EAGAIN, unix(7).
	if err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: connect: %w", socket, err)
	}
	return blocking{os.NewFile(uintptr(fd), socket)}, nil
}

// Close also ends a Read that waits, which close(2) alone would not.
func (b blocking) Close() error {
	raw, err := b.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) }); err != nil {
		return err // it is closed already
	}
	return b.File.Close()
}
