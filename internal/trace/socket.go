package trace

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// How a process learns where to tell its spans.
const (
	// SocketVariable names the socket (SOCK_SEQPACKET) of whoever collects them. While
	// nobody traces there is none.
	SocketVariable = "PATCHBAY_TRACE_SOCKET"
	// FDVariable has the number of a descriptor of such a socket, connected.
	FDVariable = "PATCHBAY_TRACE_FD"
)

// FromEnvironment returns the recorder of a process, by the environment that it was
// started with; nil where that names no socket.
func FromEnvironment(process string) *Recorder {
	if fd, err := strconv.Atoi(os.Getenv(FDVariable)); err == nil && fd > 2 {
		unix.CloseOnExec(fd)
		return NewRecorder(process, &socket{fd: fd, kept: true})
	}
	if path := os.Getenv(SocketVariable); path != "" {
		return NewRecorder(process, &socket{fd: -1, path: path})
	}
	return nil
}

// socket is a Sink that sends each record to another process. What that does not
// take in time is lost: nobody is to be slower for it. The connection is open while
// there are spans that have not ended, but for those of lives.
type socket struct {
	path string
	kept bool // the descriptor was given, and stays

	mu   sync.Mutex
	fd   int // guarded by mu; -1: none
	open int // guarded by mu; spans that have begun and not ended
}

var _ Sink = (*socket)(nil)

// Wants implements Sink. It is only asked about traces that others have begun.
func (s *socket) Wants(id ID) (spans, allocations bool) {
	if id == (ID{}) {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connect(), false
}

// connect reports whether there is a connection. mu is held.
func (s *socket) connect() bool {
	if s.fd >= 0 {
		return true
	}
	if s.kept {
		return false // it was, and broke
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}); err != nil {
		_ = unix.Close(fd)
		return false
	}
	s.fd = fd
	return true
}

// Begin implements Sink.
func (s *socket) Begin(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Kind != Life {
		s.open++
	}
	s.send(r)
}

// End implements Sink.
func (s *socket) End(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(r)
	if r.Kind != Life {
		s.open--
	}
	if s.open == 0 && !s.kept {
		s.disconnect()
	}
}

// send needs mu.
func (s *socket) send(r Record) {
	message, err := json.Marshal(r)
	if err != nil || !s.connect() {
		return
	}
	err = unix.Send(s.fd, message, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) {
		s.disconnect() // nobody traces any more
	}
}

// disconnect needs mu.
func (s *socket) disconnect() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}
