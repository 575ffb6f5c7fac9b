// Package plain answers plain calls over sockets without net/http, and so without what
// that does for each of them: a second goroutine for the connection, a tree of headers
// and buffers for either direction.
//
// A plain call is one message to a unary procedure, or to one that answers with a stream, as
// package direct sends it: HTTP/1.1 (RFC 9112) with a length and no other headers than
// those of the protocol of connect (https://connectrpc.com/docs/protocol) and of traces,
// in the binary form, not compressed. A connection on which anything else comes is somebody
// else's from there on, with what was read of it.
package plain

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/internal/rpc/hangup"
)

// Config is what a Server needs.
type Config struct {
	// Services answers the calls, with errors that are of type connect.Error.
	Services *connect.Server
	// Admit returns the context of the calls on a connection. Connections that it does not
	// admit are somebody else's.
	Admit func(ctx context.Context, c net.Conn) (admitted context.Context, ok bool)
	// HandOver takes a connection, and what was read of it. It does not wait.
	HandOver func(c net.Conn, read []byte)
	// Refusal is a whole HTTP/1.1 answer to a unary call, which is an error.
	Refusal func(err error) []byte
	// End is the last envelope of a stream, with its error or nil, and the end of the
	// answer, in chunks.
	End func(err error) []byte
	// Watcher tells of callers who have gone.
	Watcher *hangup.Watcher
}

// Server answers plain calls.
type Server struct {
	Config
	specs map[string]connect.Spec // by procedure, those that may be called plainly

	mu       sync.Mutex
	listener net.Listener   // guarded by mu
	conns    map[*conn]bool // guarded by mu; true: it has a running call
	draining bool           // guarded by mu; connections end with their calls
	closed   bool           // guarded by mu
	ended    sync.Cond      // of mu; a connection is no longer there
}

// New returns a server of all procedures that the services have by now.
func New(c Config) *Server {
	s := &Server{Config: c, specs: make(map[string]connect.Spec), conns: make(map[*conn]bool)}
	s.ended.L = &s.mu
	for spec := range c.Services.Specs() {
		if spec.StreamType&connect.StreamTypeClient == 0 {
			s.specs[spec.Procedure] = spec
		}
	}
	return s
}

// Serve answers until Drain or Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if !s.begin(l) {
		return nil
	}
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(c)
		case s.ending():
			return nil
		case exhausted(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause) //nolint:forbidigo // nobody tells when there is room again
		default:
			return err
		}
	}
}

// exhausted says that connections can be accepted when others have ended.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ECONNABORTED)
}

// begin keeps the listener, which ends with the server.
func (s *Server) begin(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		l.Close()
		return false
	}
	s.listener = l
	return true
}

func (s *Server) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// accept answers what comes on a connection.
func (s *Server) accept(from net.Conn) {
	socket, ok := from.(syscall.Conn) // others cannot be watched
	var ctx context.Context
	if ok {
		ctx, ok = s.Admit(context.Background(), from)
	}
	if !ok {
		s.HandOver(from, nil)
		return
	}
	c := &conn{Conn: from, socket: socket, server: s, ctx: ctx}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		from.Close()
		return
	}
	s.conns[c] = false
	go c.serve()
}

// busy keeps account of the running calls. It returns false when the connection is to
// end.
func (s *Server) busy(c *conn, running bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = running
	return !s.draining
}

// forget takes a connection off the account.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.ended.Broadcast()
}

// Drain accepts no more connections, closes those that are idle and waits for running
// calls, until Close.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	for len(s.conns) > 0 && !s.closed {
		s.ended.Wait()
	}
}

// drain is the part of Drain that waits for nothing. s.mu is held.
func (s *Server) drain() {
	s.draining = true
	if s.listener != nil {
		s.listener.Close()
	}
	for c, running := range s.conns {
		if !running {
			c.Close()
		}
	}
}

// Close cuts all connections, and returns when their goroutines have ended but those of
// handlers.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	s.closed = true
	for c := range s.conns {
		c.Close() // first: a handler that ends by the other must not tell the client that he has
		c.hangup()
	}
	s.ended.Broadcast()
}
