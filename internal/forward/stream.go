package forward

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay.dev/patchbay/resource"
)

const (
	// maxConnections bounds the connections of a sandbox; more clients wait in
	// the kernel's queue.
	maxConnections = 4096
	// dialTimeout is plenty for an address of the same machine.
	dialTimeout = 10 * time.Second
	// The pauses after an error of accept(2), such as too many open files.
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// stream is a TCP port.
type stream struct {
	port     resource.PublishedPort
	listener *net.TCPListener

	mu     sync.Mutex
	closed bool              // guarded by mu
	open   map[net.Conn]bool // guarded by mu; both ends of each connection
}

func (s *stream) serve(targets *atomic.Pointer[Targets], dial Dial, connections chan struct{}, log *slog.Logger) {
	var passing sync.WaitGroup
	defer passing.Wait()
	for pause := firstPause; ; {
		connections <- struct{}{}
		client, err := s.listener.AcceptTCP()
		if err == nil {
			pause = firstPause
			passing.Go(func() {
				defer func() { <-connections }()
				s.pass(client, *targets.Load(), dial, log)
			})
			continue
		}
		<-connections
		if errors.Is(err, net.ErrClosed) {
			return
		}
		log.Warn("a published port does not accept", "port", s.port.Host(), "error", err)
		<-time.After(pause)
		pause = min(2*pause, lastPause)
	}
}

// pass connects a client and copies both ways until both have ended. What one
// side says by the end of its connection, or by breaking it, the other hears.
func (s *stream) pass(client *net.TCPConn, targets Targets, dial Dial, log *slog.Logger) {
	defer s.track(client)()
	peer, _ := netip.ParseAddrPort(client.RemoteAddr().String())
	target := netip.AddrPortFrom(targets.of(peer.Addr()), s.port.ContainerPort)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	server, err := dial(ctx, "tcp", target.String())
	if err != nil {
		log.Debug("a published port leads nowhere", "port", s.port.Host(), "target", target, "error", err)
		reset(client)
		return
	}
	defer s.track(server)()
	var back sync.WaitGroup
	back.Go(func() { pump(client, server) })
	pump(server, client)
	back.Wait()
}

// pump copies one way. The copy is by splice(2) between TCP
// connections, see net.TCPConn.ReadFrom.
func pump(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		reset(to)
		reset(from)
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // of a connection that may be gone already
	} else {
		to.Close() // what comes from there is still read
	}
}

// reset breaks a connection, as its other half was.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // of a connection that may be gone already
	}
	c.Close()
}

// track lets close find a connection; untrack closes it.
func (s *stream) track(c net.Conn) (untrack func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = true
	if s.closed {
		c.Close()
	}
	return func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		c.Close()
	}
}

func (s *stream) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
}
