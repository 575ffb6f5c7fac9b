// Package collect gathers what processes tell of their spans.
package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/trace"
)

// maxRecord is the length of the longest message that is taken, in bytes.
const maxRecord = 64 << 10

// Collector takes records from the processes that are connected. One goroutine reads
// from all of them, so that Sync can tell when everything has been read.
type Collector struct {
	take func(trace.Record)

	listener int // descriptor; -1: none
	path     string
	wake     [2]int // pipe; what is written to the second end has the collector look
	buffer   []byte
	sources  map[int]*source // by descriptor; of the goroutine alone
	done     chan struct{}

	mu       sync.Mutex
	syncing  []chan struct{} // guarded by mu; to be closed when all has been read
	arriving []*source       // guarded by mu; to be read from
	closed   bool            // guarded by mu; the collector may have closed wake
}

// source is one process that is connected.
type source struct {
	fd   int
	pid  int // as this process sees it; 0: it has to be believed
	open map[trace.SpanID]trace.Record
}

// New returns a collector that gives take what the descriptors of Add say, one
// after the other. A path that is not empty is that of a socket (SOCK_SEQPACKET) that
// processes connect to; what is there is removed. The caller closes it.
func New(path string, take func(trace.Record)) (*Collector, error) {
	c := &Collector{
		take: take, listener: -1, path: path, buffer: make([]byte, maxRecord), sources: map[int]*source{}, done: make(chan struct{}),
	}
	if err := unix.Pipe2(c.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("collect spans: %w", err)
	}
	if path != "" {
		if err := c.listen(); err != nil {
			return nil, errors.Join(fmt.Errorf("collect spans at %s: %w", path, err), unix.Close(c.wake[0]), unix.Close(c.wake[1]))
		}
	}
	go c.run()
	return c, nil
}

func (c *Collector) listen() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: c.path})
	if err == nil {
		err = os.Chmod(c.path, 0o600)
	}
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	c.listener = fd
	return nil
}

// Add reads from one more descriptor, which becomes the collector's, and at whose
// other end is the process of a number.
func (c *Collector) Add(fd, pid int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(fmt.Errorf("collect spans: %w", err), unix.Close(fd))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.Join(fmt.Errorf("collect spans: %w", os.ErrClosed), unix.Close(fd))
	}
	c.arriving = append(c.arriving, &source{fd: fd, pid: pid, open: map[trace.SpanID]trace.Record{}})
	c.nudge()
	return nil
}

// Sync returns when everything has been taken that processes had told before.
func (c *Collector) Sync() {
	read := make(chan struct{})
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.syncing = append(c.syncing, read)
	c.nudge()
	c.mu.Unlock()
	<-read
}

// Close ends the collector; nothing is taken after it returns.
func (c *Collector) Close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		c.nudge()
	}
	c.mu.Unlock()
	<-c.done
}

// nudge has the collector look at what has changed. c.mu is held: the number of the pipe is that of another file
// once the collector has seen that it is closed.
func (c *Collector) nudge() { _, _ = unix.Write(c.wake[1], []byte{0}) } // a full pipe wakes as well

func (c *Collector) run() {
	defer close(c.done)
	defer c.dispose()
	for {
		c.wait()
		c.mu.Lock()
		closed, syncing, arriving := c.closed, c.syncing, c.arriving
		c.syncing, c.arriving = nil, nil
		c.mu.Unlock()
		for _, s := range arriving {
			c.sources[s.fd] = s
		}
		c.accept()
		for _, s := range c.sources {
			c.read(s)
		}
		for _, read := range syncing {
			close(read)
		}
		if closed {
			return
		}
	}
}

// wait returns when there is something to do.
func (c *Collector) wait() {
	fds := []unix.PollFd{{Fd: int32(c.wake[0]), Events: unix.POLLIN}}
	if c.listener >= 0 {
		fds = append(fds, unix.PollFd{Fd: int32(c.listener), Events: unix.POLLIN})
	}
	for fd := range c.sources {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	_, _ = unix.Poll(fds, -1) // interrupted: there is nothing to do then
	var spent [64]byte
	for {
		if n, err := unix.Read(c.wake[0], spent[:]); n < len(spent) || err != nil {
			return
		}
	}
}

func (c *Collector) accept() {
	for c.listener >= 0 {
		fd, _, err := unix.Accept4(c.listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return
		}
		s := &source{fd: fd, open: map[trace.SpanID]trace.Record{}}
		if who, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			s.pid = int(who.Pid)
		}
		c.sources[fd] = s
	}
}

// read takes what a source has told, up to now.
func (c *Collector) read(s *source) {
	for {
		n, _, err := unix.Recvfrom(s.fd, c.buffer, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil || n == 0:
			c.drop(s)
			return
		}
		var r trace.Record
		if json.Unmarshal(c.buffer[:n], &r) != nil || r.Trace == (trace.ID{}) || r.Span == (trace.SpanID{}) {
			continue
		}
		if s.pid != 0 {
			r.PID = s.pid
		}
		switch {
		case r.Ended:
			delete(s.open, r.Span)
		case r.Kind != trace.Life:
			s.open[r.Span] = r
		}
		c.take(r)
	}
}

// drop lets go of a process, and ends what it has not.
func (c *Collector) drop(s *source) {
	delete(c.sources, s.fd)
	_ = unix.Close(s.fd)
	now := time.Now().UnixNano()
	for _, r := range s.open {
		r.Ended, r.Duration, r.Error = true, time.Duration(max(0, now-r.Start)), "did not tell of its end: the process has ended, or was too fast for who listens"
		c.take(r)
	}
}

func (c *Collector) dispose() {
	for _, s := range c.sources {
		_ = unix.Close(s.fd)
	}
	_ = unix.Close(c.wake[0])
	_ = unix.Close(c.wake[1])
	if c.listener >= 0 {
		_ = unix.Close(c.listener)
		_ = os.Remove(c.path)
	}
}
