// Package streams gives the streams that a guest opens to who waits for them.
package streams

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/resolver"
	"patchbay.dev/patchbay/internal/runtime/vm/channel"
)

// Streams are those that a guest has opened and nobody has taken yet.
type Streams struct {
	names chan net.Conn // connections to the resolver, which nobody waits for by name
	ended chan struct{} // closed when the session has ended

	mu      sync.Mutex
	came    map[streamKey]net.Conn // guarded by mu
	changed chan struct{}          // guarded by mu; closed and replaced when one comes
}

type streamKey struct {
	id   string // of a process or a dialed connection
	kind guestv1.StreamKind
}

// New returns none.
func New() *Streams {
	return &Streams{
		names: make(chan net.Conn), ended: make(chan struct{}),
		came: make(map[streamKey]net.Conn), changed: make(chan struct{}),
	}
}

// Accept takes in streams until the session ends.
func (s *Streams) Accept(session *yamux.Session) {
	defer close(s.ended)
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go s.sort(stream)
	}
}

// sort reads what a stream is.
func (s *Streams) sort(stream net.Conn) {
	header, err := channel.ReadHeader(stream)
	if err != nil {
		_ = stream.Close() // it means nothing to either side
		return
	}
	if header.GetKind() == guestv1.StreamKind_STREAM_KIND_NAMES_CONNECTION {
		select {
		case s.names <- stream:
		case <-s.ended:
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came[streamKey{header.GetProcessId(), header.GetKind()}] = stream
	close(s.changed)
	s.changed = make(chan struct{})
}

// Take returns the stream of a process or a dialed connection, when it has come.
func (s *Streams) Take(ctx context.Context, id string, kind guestv1.StreamKind) (net.Conn, error) {
	key := streamKey{id, kind}
	for {
		s.mu.Lock()
		stream, changed := s.came[key], s.changed
		delete(s.came, key)
		s.mu.Unlock()
		if stream != nil {
			return stream, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%q: the guest opens no stream for its %v: %w: %w", id, kind, errdefs.ErrUnavailable, ctx.Err())
		}
	}
}

// nameConnections is the listener of the resolver in the guest.
type nameConnections struct {
	streams *Streams
	closed  chan struct{}
	close   func()
}

// Names is the listener that the connections to the resolver in the guest come from.
func (s *Streams) Names() net.Listener {
	l := &nameConnections{streams: s, closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Accept returns the next connection, or net.ErrClosed.
func (l *nameConnections) Accept() (net.Conn, error) {
	select {
	case c := <-l.streams.names:
		return c, nil
	case <-l.closed:
	case <-l.streams.ended:
	}
	return nil, net.ErrClosed
}

// Close ends Accept.
func (l *nameConnections) Close() error {
	l.close()
	return nil
}

// Addr is the resolver's address.
func (l *nameConnections) Addr() net.Addr { return net.TCPAddrFromAddrPort(resolver.Address) }
