package engine

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/layout"
)

// Server is the process that serves an instance.
type Server struct {
	pid  int
	file *os.File // its pidfd (pidfd_open(2))
}

// Open finds the process that serves an instance.
func Open(ctx context.Context, roots layout.Roots) (*Server, error) {
	pid, err := processOf(ctx, roots)
	if err != nil {
		return nil, fmt.Errorf("patchbayd: %w", err)
	}
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("patchbayd: process %d: %w", pid, err)
	}
	return &Server{pid: pid, file: os.NewFile(uintptr(fd), "patchbayd")}, nil
}

// Close forgets the process.
func (s *Server) Close() { s.file.Close() }

// WaitExit returns when the process has ended, or with an error at the end of
// ctx.
func (s *Server) WaitExit(ctx context.Context) error {
	// poll(2) blocks a thread, so it looks up now and then whether ctx has ended.
	const look = 100 * time.Millisecond
	fds := []unix.PollFd{{Fd: int32(s.file.Fd()), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		n, err := unix.Poll(fds, int(look.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("patchbayd: process %d: %w", s.pid, err)
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("patchbayd: process %d does not end: %w", s.pid, ctx.Err())
}
