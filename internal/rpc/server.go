package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/rpc/hangup"
	"patchbay.dev/patchbay/internal/rpc/peer"
	"patchbay.dev/patchbay/internal/rpc/plain"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/wire"
)

// ListenFDVariable names the environment variable that tells a helper which
// file descriptor its listening socket is.
const ListenFDVariable = "PATCHBAY_LISTEN_FD"

// InheritedListener returns the socket that the parent process passed down.
func InheritedListener() (net.Listener, error) {
	value := os.Getenv(ListenFDVariable)
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: want the number of a listening socket; this program is started by patchbayd: %w",
			ListenFDVariable, value, errdefs.ErrFailedPrecondition)
	}
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("%s=%d: %w", ListenFDVariable, fd, err)
	}
	return l, nil
}

// Server serves RPCs on unix sockets to callers of the allowed users.
//
// Plain calls, which are nearly all, are answered by package plain, and everything else
// by net/http, which is made when there is something for it. Interceptors and handlers
// are the same.
type Server struct {
	plain   *plain.Server
	others  func() *fallback
	log     *slog.Logger
	observe func(procedure string) (ended func(code string))
	left    hangup.Watcher // of calls, and of streams whose handlers have left

	mu       sync.Mutex
	fallback *fallback // guarded by mu; nil: everything was a plain call
	draining bool      // guarded by mu; nothing is handed over
}

// ServerConfig is what a Server needs.
type ServerConfig struct {
	// Register adds the services.
	Register func(*connect.Server)
	// AllowedUIDs are the users that may call beside root.
	AllowedUIDs []int
	// Private says that nobody but who may call reaches the listener: it need
	// not be a unix socket then.
	Private bool
	// Observe is told of each call of a service when it begins, and by what it
	// returned when the call has ended: "ok" or the name of an RPC code. Streams
	// end with their last message. Nil: nobody is told.
	Observe func(procedure string) (ended func(code string))
	// Trace records the calls, and is nil where nobody could trace.
	Trace *trace.Recorder
	Log   *slog.Logger
}

// NewServer returns a server that is ready to Serve.
func NewServer(c ServerConfig) *Server {
	s := &Server{log: c.Log, observe: c.Observe}
	services := connect.NewServer(s.leavablePlain, s.observed, traced(c.Trace), s.edge)
	c.Register(services)
	allowed := allowing(c.AllowedUIDs)
	s.plain = plain.New(plain.Config{
		Services: services,
		Admit: func(ctx context.Context, conn net.Conn) (context.Context, bool) {
			ctx = WithPeer(ctx, conn)
			return ctx, c.Private || allowed(ctx)
		},
		HandOver: s.handOver,
		Refusal:  refusal,
		End:      lastChunks,
		Watcher:  &s.left,
	})
	s.others = func() *fallback {
		mux := http.NewServeMux()
		connecthttp.Mount(mux, services, Codecs())
		handler := duplex(s.leavable(mux))
		if !c.Private {
			handler = Allow(c.AllowedUIDs, handler)
		}
		return newFallback(handler, c.Log)
	}
	return s
}

// Serve answers until Shutdown or Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error { return s.plain.Serve(l) }

// handOver has net/http go on with a connection on which something else came than a plain
// call.
func (s *Server) handOver(c net.Conn, read []byte) {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		c.Close()
		return
	}
	if s.fallback == nil {
		s.fallback = s.others()
	}
	f := s.fallback
	s.mu.Unlock()
	f.take(c, read)
}

// drain has nothing more handed over, and returns what was made for it.
func (s *Server) drain() *fallback {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	return s.fallback
}

// Shutdown stops accepting and waits for running calls until ctx ends, then
// cuts them.
func (s *Server) Shutdown(ctx context.Context) {
	f := s.drain()
	stop := context.AfterFunc(ctx, s.Close)
	s.plain.Drain()
	if f != nil {
		f.shutdown(ctx)
	}
	stop()
	s.Close()
}

// Close cuts all connections at once.
func (s *Server) Close() {
	f := s.drain()
	s.plain.Close()
	if f != nil {
		f.close()
	}
	s.left.Close()
}

// observed tells of the calls; it sees them as the client does.
func (s *Server) observed(next connect.ServerFunc) connect.ServerFunc {
	if s.observe == nil {
		return next
	}
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		ended := s.observe(spec.Procedure)
		err := next(ctx, spec, stream)
		if rest := leftFrom(ctx); rest != nil {
			rest.observe(ended)
			return err
		}
		code := "ok"
		if err != nil {
			code = connect.CodeOf(err).String()
		}
		ended(code)
		return err
	}
}

// edge turns errors into codes and a panic into an internal error, so that one
// bad call does not take the process down.
func (s *Server) edge(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) (err error) {
		defer func() {
			if r := recover(); r != nil {
				s.log.Error("panic in call", "procedure", spec.Procedure, "panic", r, "stack", string(debug.Stack()))
				err = wire.ErrorToStatus(fmt.Errorf("%s: internal error, see the log: %w", spec.Procedure, errdefs.ErrInternal))
			}
		}()
		return wire.ErrorToStatus(next(ctx, spec, stream))
	}
}

type peerKey struct{}

// PeerFrom returns who calls.
func PeerFrom(ctx context.Context) (peer.Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(peer.Peer)
	return p, ok
}

// WithPeer adds the process at the other end of a unix connection to a context;
// it is the ConnContext of a server whose handlers use PeerFrom or Allow.
func WithPeer(ctx context.Context, c net.Conn) context.Context {
	if caller, err := peer.Of(c); err == nil {
		return context.WithValue(ctx, peerKey{}, caller)
	}
	return ctx
}

// allowing returns whether a context is of a caller that is root, of the user of this process
// or listed. A user that the server's user namespace does not map counts as not listed.
func allowing(uids []int) func(context.Context) bool {
	allowed := map[int]bool{0: true, os.Geteuid(): true}
	for _, uid := range uids {
		allowed[uid] = true
	}
	return func(ctx context.Context) bool {
		caller, ok := PeerFrom(ctx)
		return ok && allowed[caller.UID]
	}
}

// Allow refuses callers that are neither root nor listed. The server has WithPeer.
func Allow(uids []int, next http.Handler) http.Handler {
	allowed := allowing(uids)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r.Context()) {
			caller, _ := PeerFrom(r.Context())
			err := connect.NewError(connect.CodePermissionDenied, fmt.Sprintf("user %d may not call this socket: want root", caller.UID))
			if errorWriter().Write(w, r, err) != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
			}
			return
		}
		next.ServeHTTP(w, r)
	})
}
