package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay.dev/patchbay/internal/forward/relay"
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
	relay    *relay.Relay

	mu     sync.Mutex
	closed bool              // guarded by mu
	open   map[net.Conn]bool // guarded by mu; both ends of each connection that the relay does not have
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
				left := func() { <-connections }
				if err := s.pass(client, *targets.Load(), dial, left); err != nil {
					left()
					log.Debug("a published port leads nowhere", "port", s.port.Host(), "error", err)
				}
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

// pass connects a client and has what comes passed on both ways until both have ended; then left
// is called, unless there is an error. The relay does it for sockets of the
// kernel, and goroutines for connections of any other kind.
func (s *stream) pass(client *net.TCPConn, targets Targets, dial Dial, left func()) error {
	defer s.track(client)()
	peer, _ := netip.ParseAddrPort(client.RemoteAddr().String())
	target := netip.AddrPortFrom(targets.of(peer.Addr()), s.port.ContainerPort)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	server, err := dial(ctx, "tcp", target.String())
	if err != nil {
		reset(client)
		return fmt.Errorf("target %v: %w", target, err)
	}
	if socket, ok := server.(*net.TCPConn); ok {
		return s.relay.Join(client, socket, left)
	}
	defer s.track(server)()
	copyBoth(client, server)
	left()
	return nil
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
