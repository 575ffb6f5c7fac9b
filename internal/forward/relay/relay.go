// Package relay passes on what comes on pairs of TCP connections, each to the other
// one of its pair. One loop does it for all of them and sleeps in the kernel while
// there is nothing to do, so that no message waits until somebody is woken but the loop.
package relay

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

const (
	// buffer is what is read at once, and the most that is kept of a connection
	// whose other one does not take it.
	buffer = 64 << 10
	// turns bounds how often one connection is read before others have their turn.
	turns = 4
	// slice is after what time the loop lets the Go scheduler run, which goes on with it on the
	// same thread. One that did not for 10 ms loses its place there in each call of the
	// kernel, and getting another one wakes the thread that takes them away, every time.
	slice = 5 * time.Millisecond
	// batch is how many events are taken from the kernel at once.
	batch = 64
)

// Relay passes on bytes between pairs of connections. The zero value is ready for use, and
// costs nothing before the first pair.
type Relay struct {
	running sync.WaitGroup

	mu      sync.Mutex
	started bool              // guarded by mu
	closed  bool              // guarded by mu
	poll    int               // an epoll(7) instance; set with started
	wake    int               // an eventfd(2) that ends the loop; set with started
	sockets map[int32]*socket // guarded by mu; by their descriptors
	again   []*socket         // guarded by mu; whose turn was over before all was passed on
	out     outbox            // guarded by mu; empty between two rounds of the loop
	spare   []*pipe           // guarded by mu; that hold nothing
}

// Join begins to pass on what comes, both ways. What one side says by the end of its
// connection, or by breaking it, the other one hears. The relay takes both connections
// over: they are closed, whatever Join returns. left is called when both have ended, by
// the loop, which it must not hold up.
//
// After Close it is errdefs.ErrUnavailable.
func (r *Relay) Join(a, b *net.TCPConn, left func()) error {
	near, err := detach(a)
	if err != nil {
		_ = b.Close() // it is given up
		return err
	}
	far, err := detach(b)
	if err != nil {
		unix.Close(near)
		return err
	}
	p := pair{left: left}
	p.ends = [2]socket{{pair: &p, fd: near, peer: &p.ends[1]}, {pair: &p, fd: far, peer: &p.ends[0]}}
	if err := r.add(&p); err != nil {
		unix.Close(near)
		unix.Close(far)
		return err
	}
	return nil
}

// detach takes the socket of a connection from the runtime of Go, which would be woken
// by each message too.
func detach(c *net.TCPConn) (fd int, err error) {
	defer func() { _ = c.Close() }() // of the one descriptor, the socket has another
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var fault error
	if err := raw.Control(func(old uintptr) { fd, fault = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, fault
}

// add begins to watch the sockets of a pair. Each change of them is one event
// (edge-triggered), so that nothing needs to be told to the kernel later.
func (r *Relay) add(p *pair) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("relay: it is closed: %w", errdefs.ErrUnavailable)
	}
	if err := r.start(); err != nil {
		return err
	}
	for i := range p.ends {
		s := &p.ends[i]
		e := unix.EpollEvent{Fd: int32(s.fd), Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET}
		if err := unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, s.fd, &e); err != nil {
			r.forget(p)
			return fmt.Errorf("relay: watch a connection: %w", err)
		}
		r.sockets[e.Fd] = s
	}
	return nil
}

// start begins the loop with the first pair. r.mu is held.
func (r *Relay) start() (err error) {
	if r.started {
		return nil
	}
	if r.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(r.poll)
		return fmt.Errorf("relay: %w", err)
	}
	e := unix.EpollEvent{Fd: int32(r.wake), Events: unix.EPOLLIN}
	if err := unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, r.wake, &e); err != nil {
		unix.Close(r.poll)
		unix.Close(r.wake)
		return fmt.Errorf("relay: %w", err)
	}
	r.started, r.sockets = true, map[int32]*socket{}
	r.running.Go(r.run)
	return nil
}

// Close ends all connections and waits for the loop. It may be called again.
func (r *Relay) Close() {
	r.mu.Lock()
	if r.started && !r.closed {
		one := [8]byte{7: 1}
		_, _ = unix.Write(r.wake, one[:]) // an eventfd takes any number in either byte order
	}
	r.closed = true
	r.mu.Unlock()
	r.running.Wait()
}

// run is the loop. It is not locked to its thread: the scheduler would then hand the loop's place to another thread, and
// back, whenever it runs, and on a busy machine the loop would wait for a processor twice.
func (r *Relay) run() {
	defer unix.Close(r.wake)
	defer unix.Close(r.poll)
	events := make([]unix.EpollEvent, batch)
	for wait, yielded := -1, time.Now(); ; {
		if now := time.Now(); now.Sub(yielded) > slice {
			runtime.Gosched()
			yielded = now
		}
		n, err := unix.EpollWait(r.poll, events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("epoll_wait: %v", err)) // its arguments are this package's own
		}
		more, on := r.handle(events[:max(n, 0)])
		if !on {
			return
		}
		wait = -1
		if more {
			wait = 0
		}
	}
}

// handle passes on what events tell of. It returns whether there is more to pass on without an
// event, and whether the loop goes on.
func (r *Relay) handle(events []unix.EpollEvent) (more, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		for _, s := range r.sockets {
			r.end(s.pair)
		}
		r.closePipes()
		r.out.close()
		return false, false
	}
	if len(r.sockets) > 0 && r.out.data == nil {
		r.out.data = make([]byte, buffer)
	}
	waiting := r.again
	r.again = nil
	for _, e := range events {
		if s := r.sockets[e.Fd]; s != nil {
			s.hear(e.Events)
		}
	}
	r.receive(events)
	for _, e := range events {
		if s := r.sockets[e.Fd]; s != nil {
			r.pass(s, s.peer)
			r.pass(s.peer, s)
		}
	}
	for _, s := range waiting {
		s.queued = false
		r.pass(s, s.peer)
	}
	r.send()
	if len(r.sockets) == 0 {
		r.out.data = nil // nobody knows when the next one comes
		r.closePipes()
	}
	return len(r.again) > 0, true
}
