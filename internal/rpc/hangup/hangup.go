// Package hangup tells of the end of connections of which nothing else is awaited. Each
// costs its socket and an entry of a table, without a goroutine and buffers of its own.
package hangup

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Watcher watches connections for the end of their other sides. The zero value is ready;
// it is safe for concurrent use.
type Watcher struct {
	mu      sync.Mutex
	epoll   *os.File           // guarded by mu; nil before the first connection
	fd      int                // guarded by mu; of epoll, whose Fd would have reads block
	watched map[uint64]*Socket // guarded by mu; by number
	last    uint64             // guarded by mu; number of the latest connection
	closed  bool               // guarded by mu
	loop    sync.WaitGroup
}

// Socket is a connection that is watched.
type Socket struct {
	watcher *Watcher
	number  uint64
	fd      int // -1: of a connection that is its caller's
	gone    func()
}

// Mark is a connection of which a Watcher tells, and that is not its own.
type Mark struct {
	watcher *Watcher
	number  uint64
}

// Watch takes a connection over from c, which it closes. gone is called when the other
// side or Close has ended it, not after End; until it returns the watcher tells of no other
// one. What the other side sends is not read. Where c is no socket of the kernel, the error
// is of kind errdefs.ErrNotImplemented. After an error c is as before.
func (w *Watcher) Watch(c net.Conn, gone func()) (*Socket, error) {
	fd, err := duplicate(c)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s, err := w.add(fd, 0, gone)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.fd = fd
	c.Close()
	return s, nil
}

// Notice has gone called once when the other side of c has ended or no longer sends, until
// Forget. The connection stays its caller's, who reads from it and closes it, and is not
// ended by Close. It returns nil where nobody will be told: c is closed already, or the kernel
// has no room to watch it.
func (w *Watcher) Notice(c syscall.Conn, gone func()) *Mark {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	var s *Socket
	_ = raw.Control(func(fd uintptr) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.begin() == nil {
			s, _ = w.add(int(fd), unix.EPOLLONESHOT, gone)
		}
	})
	if s == nil {
		return nil
	}
	return &Mark{watcher: w, number: s.number}
}

// Forget has nobody told any more. That of nil does nothing.
func (m *Mark) Forget() {
	if m != nil {
		m.watcher.take(m.number)
	}
}

// add watches a descriptor. w.mu is held.
func (w *Watcher) add(fd int, how uint32, gone func()) (*Socket, error) {
	w.last++
	s := &Socket{watcher: w, number: w.last, fd: -1, gone: gone}
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | how, Fd: int32(uint32(s.number)), Pad: int32(uint32(s.number >> 32))} //nolint:gosec // the two halves
	if err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return nil, fmt.Errorf("watch a connection: %w", err)
	}
	w.watched[s.number] = s
	return s, nil
}

// duplicate returns a descriptor of its own for the socket of c.
func duplicate(c net.Conn) (fd int, err error) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("watch a %T: it is no socket: %w", c, errdefs.ErrNotImplemented)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("watch a connection: %w", err)
	}
	var fault error
	if err := raw.Control(func(of uintptr) { fd, fault = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		fault = err
	}
	if fault != nil {
		return 0, fmt.Errorf("watch a connection: %w", fault)
	}
	return fd, nil
}

// begin starts the loop with the first connection. w.mu is held.
func (w *Watcher) begin() error {
	if w.closed {
		return fmt.Errorf("watch a connection: %w", os.ErrClosed)
	}
	if w.epoll != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("watch connections: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // the goroutine then takes no thread while it waits
		unix.Close(fd)
		return fmt.Errorf("watch connections: %w", err)
	}
	w.fd, w.epoll = fd, os.NewFile(uintptr(fd), "epoll")
	w.watched = make(map[uint64]*Socket)
	raw, err := w.epoll.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch connections: %w", err)
	}
	w.loop.Go(func() { w.run(raw) })
	return nil
}

// run tells of what has ended, until Close.
func (w *Watcher) run(epoll syscall.RawConn) {
	var events [16]unix.EpollEvent
	for {
		var n int
		err := epoll.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			number := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 //nolint:gosec // as in Watch
			if s := w.take(number); s != nil {
				s.close()
				s.gone()
			}
		}
	}
}

// close closes the connection where that is the watcher's.
func (s *Socket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
}

// take returns a connection that nobody else ends from now on, nil if somebody does.
func (w *Watcher) take(number uint64) *Socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.watched[number]
	delete(w.watched, number)
	return s
}

// Send sends bytes to the other side. It does not wait: a connection without room for all of
// them is broken, of which gone tells. It returns false where the connection has ended already.
func (s *Socket) Send(data []byte) bool {
	s.watcher.mu.Lock() // so that nobody closes it meanwhile
	defer s.watcher.mu.Unlock()
	if s.watcher.watched[s.number] == nil {
		return false
	}
	if n, err := unix.SendmsgN(s.fd, data, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil || n < len(data) {
		_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // of who may have gone
	}
	return true
}

// End closes the connection after some last bytes, of which the other side gets those that
// there is room for. It returns false where the connection has ended already.
func (s *Socket) End(last []byte) bool {
	if s.watcher.take(s.number) == nil {
		return false
	}
	if len(last) > 0 {
		_ = unix.Sendto(s.fd, last, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) // to who may have gone
	}
	unix.Close(s.fd)
	return true
}

// Close closes all connections, and returns when it has been told of all.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.closed = true
	left := slices.Collect(maps.Values(w.watched))
	epoll := w.epoll
	w.mu.Unlock()
	for _, s := range left {
		if s.fd >= 0 && s.End(nil) {
			s.gone()
		}
	}
	if epoll != nil {
		epoll.Close()
	}
	w.loop.Wait()
}
