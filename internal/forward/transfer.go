package forward

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// pieceSize is how much is taken at once. What comes in smaller pieces, as requests and
	// answers do, is read and written; what fills one is a stream.
	pieceSize = 16 << 10
	// spliceSize is how much of a stream is then left to splice(2), which moves it without a
	// copy but takes a pipe and twice the system calls for each piece.
	spliceSize = 1 << 20
)

// pieces are buffers for what is on its way: none for a connection that is quiet.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// transfer copies one way until the end, which is no error.
func transfer(to, from net.Conn) error {
	socket, ok := from.(syscall.Conn)
	if !ok {
		_, err := io.Copy(to, from)
		return err
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	step := newStep(to)
	for {
		if err := raw.Read(step.run); err != nil {
			return err
		}
		switch {
		case errors.Is(step.err, io.EOF):
			return nil
		case step.err != nil:
			return step.err
		case step.moved < pieceSize:
			continue
		}
		_, err := io.CopyN(to, from, spliceSize)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// step moves one piece.
type step struct {
	to    net.Conn
	moved int
	err   error // io.EOF: the end
	run   func(fd uintptr) bool
}

func newStep(to net.Conn) *step {
	s := &step{to: to}
	s.run = s.move
	return s
}

// move reports whether there was something to read. It takes a buffer when the socket has
// become readable and gives it back when the piece has been written.
func (s *step) move(fd uintptr) bool {
	buffer := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buffer)
	n, err := unix.Read(int(fd), buffer[:])
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false
	case errors.Is(err, unix.EINTR):
		s.moved, s.err = 0, nil
		return true
	case err == nil && n == 0:
		err = io.EOF
	case err == nil:
		_, err = s.to.Write(buffer[:n])
	}
	s.moved, s.err = max(n, 0), err
	return true
}
