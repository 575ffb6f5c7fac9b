package rpc

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
)

// fallback answers by net/http, over HTTP/1.1 and HTTP/2, what comes on connections that are
// handed to it.
type fallback struct {
	http    *http.Server
	handed  chan net.Conn
	ended   chan struct{} // closed when no more are accepted
	end     func()        // closes ended, once
	serving sync.WaitGroup

	mu       sync.Mutex
	busy     map[net.Conn]bool // guarded by mu; connections with running calls
	quiet    chan struct{}     // closed when there are none, after draining
	draining bool              // guarded by mu
}

func newFallback(handler http.Handler, log *slog.Logger) *fallback {
	f := &fallback{handed: make(chan net.Conn), ended: make(chan struct{}), busy: make(map[net.Conn]bool), quiet: make(chan struct{})}
	f.end = sync.OnceFunc(func() { close(f.ended) })
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.http = &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ConnContext:       WithPeer,
		ConnState:         f.connState,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	f.serving.Go(func() { _ = f.http.Serve(f) }) // which ends with the server
	return f
}

// take goes on with a connection of which something was read.
func (f *fallback) take(c net.Conn, read []byte) {
	if len(read) > 0 {
		c = &resumed{Conn: c, read: read}
	}
	select {
	case f.handed <- c:
	case <-f.ended:
		c.Close()
	}
}

// Accept implements net.Listener.
func (f *fallback) Accept() (net.Conn, error) {
	select {
	case c := <-f.handed:
		return c, nil
	case <-f.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *fallback) Close() error {
	f.end()
	return nil
}

// Addr implements net.Listener.
func (f *fallback) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// shutdown waits for running calls until ctx ends.
func (f *fallback) shutdown(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var stopping sync.WaitGroup
	stopping.Go(func() { _ = f.http.Shutdown(ctx) })
	f.drain()
	select { // http's own wait looks again after ever longer pauses
	case <-f.quiet:
	case <-ctx.Done():
	}
	cancel()
	stopping.Wait()
}

func (f *fallback) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.draining && len(f.busy) == 0 {
		close(f.quiet)
	}
	f.draining = true
}

// connState keeps account of the connections with running calls.
func (f *fallback) connState(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state == http.StateActive {
		f.busy[c] = true
		return
	}
	if !f.busy[c] {
		return
	}
	delete(f.busy, c)
	if f.draining && len(f.busy) == 0 {
		close(f.quiet)
	}
}

// close cuts all connections.
func (f *fallback) close() {
	f.end()
	f.http.Close()
	f.serving.Wait()
}

// resumed is a connection of which something was read that is read again.
type resumed struct {
	net.Conn
	read []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.read)
	r.read = r.read[n:]
	return n, nil
}

// NetConn returns the connection itself.
func (r *resumed) NetConn() net.Conn { return r.Conn }

// SyscallConn implements syscall.Conn.
func (r *resumed) SyscallConn() (syscall.RawConn, error) {
	c, ok := r.Conn.(syscall.Conn)
	if !ok {
		return nil, errdefs.ErrNotImplemented
	}
	return c.SyscallConn()
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
