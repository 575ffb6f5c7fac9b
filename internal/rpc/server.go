package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/rpc/hangup"
	"patchbay.dev/patchbay/internal/rpc/peer"
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
type Server struct {
	http    *http.Server
	log     *slog.Logger
	observe func(procedure string) (ended func(code string))
	left    hangup.Watcher // of streams whose handlers have left

	mu       sync.Mutex
	busy     map[net.Conn]bool // guarded by mu; connections with running calls
	quiet    chan struct{}     // closed when there are none, after draining
	draining bool              // guarded by mu
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
	s := &Server{log: c.Log, observe: c.Observe, busy: make(map[net.Conn]bool), quiet: make(chan struct{})}
	services := connect.NewServer(s.observed, traced(c.Trace), s.edge)
	c.Register(services)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, services, connecthttp.WithCodecs(codecs()...))

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	handler := duplex(leavable(&s.left, mux))
	if !c.Private {
		handler = Allow(c.AllowedUIDs, handler)
	}
	s.http = &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ConnContext:       WithPeer,
		ConnState:         s.connState,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// duplex lets a caller on HTTP/1.1 send and receive at the same time. Connect refuses
// that, because proxies do not do it, of which there are none on a unix socket.
func duplex(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.ContentLength < 0 && http.NewResponseController(w).EnableFullDuplex() == nil {
			r = r.WithContext(r.Context()) // a copy: the server reads its own
			r.ProtoMajor, r.ProtoMinor = 2, 0
		}
		next.ServeHTTP(w, r)
	})
}

// Serve answers until Shutdown or Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting and waits for running calls until ctx ends, then
// cuts them.
func (s *Server) Shutdown(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var stopping sync.WaitGroup
	stopping.Go(func() { _ = s.http.Shutdown(ctx) })
	s.drain()
	select { // http's own wait looks again after ever longer pauses
	case <-s.quiet:
	case <-ctx.Done():
	}
	s.Close()
	cancel()
	stopping.Wait()
}

func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining && len(s.busy) == 0 {
		close(s.quiet)
	}
	s.draining = true
}

// connState keeps account of the connections with running calls.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateActive {
		s.busy[c] = true
		return
	}
	if !s.busy[c] {
		return
	}
	delete(s.busy, c)
	if s.draining && len(s.busy) == 0 {
		close(s.quiet)
	}
}

// Close cuts all connections at once.
func (s *Server) Close() {
	s.http.Close()
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

// Allow refuses callers that are neither root nor listed. A user that the
// server's user namespace does not map counts as not listed. The server has
// WithPeer.
func Allow(uids []int, next http.Handler) http.Handler {
	allowed := map[int]bool{0: true, os.Geteuid(): true}
	for _, uid := range uids {
		allowed[uid] = true
	}
	refusal := connecthttp.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := PeerFrom(r.Context())
		if !ok || !allowed[caller.UID] {
			err := connect.NewError(connect.CodePermissionDenied, fmt.Sprintf("user %d may not call this socket: want root", caller.UID))
			if refusal.Write(w, r, err) != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
			}
			return
		}
		next.ServeHTTP(w, r)
	})
}
