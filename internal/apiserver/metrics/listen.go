package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/config"
	"patchbay.dev/patchbay/internal/rpc"
)

// Listen opens the endpoint. At a unix socket it is root that may connect, or
// anybody where others may call, too; a socket that nobody serves any more is
// replaced. Errors name the setting.
func Listen(e config.Endpoint, others bool) (net.Listener, error) {
	l, err := listen(e, others)
	if err == nil {
		return l, nil
	}
	kind, hint := error(errdefs.ErrFailedPrecondition), ""
	if errors.Is(err, syscall.EADDRINUSE) {
		kind, hint = errdefs.ErrAlreadyExists, "; choose another one, or end what uses it"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // the rest of its text is the address
	}
	return nil, fmt.Errorf("%s: %q: %w%s: %w", e.Setting, e.Address, err, hint, kind)
}

func listen(e config.Endpoint, others bool) (net.Listener, error) {
	if e.Network != "unix" {
		return net.Listen(e.Network, e.Address)
	}
	if err := makeWay(e.Address); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", e.Address)
	if err != nil {
		return nil, err
	}
	mode := os.FileMode(0o600)
	if others {
		mode = 0o666
	}
	if err := os.Chmod(e.Address, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// makeWay removes a socket that nobody listens at: what a process leaves that was
// killed. Anything else at its place stays.
func makeWay(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("is there and is no socket")
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		return errors.Join(syscall.EADDRINUSE, c.Close())
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// closeTimeout is how long a client may take to read its last answer.
const closeTimeout = time.Second

// Server serves metrics to the users that may call the API.
type Server struct {
	metrics *Metrics
	http    *http.Server
	serving sync.WaitGroup
}

// Serve answers on the listener until Close.
func Serve(l net.Listener, m *Metrics, uids []int) *Server {
	handler := m.Handler()
	if l.Addr().Network() == "unix" {
		handler = rpc.Allow(uids, handler)
	}
	s := &Server{metrics: m, http: &http.Server{
		Handler:           handler,
		ConnContext:       rpc.WithPeer,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          m.errorLog(),
	}}
	m.tell(l.Addr())
	s.serving.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.config.Log.Error("metrics are not served any more", "error", err)
		}
	})
	return s
}

// tell says in the log where metrics are, and to whom.
func (m *Metrics) tell(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		m.config.Log.Warn("metrics are served, and whoever reaches the address may read them", "address", a.String())
		return
	}
	m.config.Log.Info("metrics are served", "address", a.String())
}

// Close asks nobody any more, which ends running scrapes.
func (s *Server) Close() {
	s.metrics.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.serving.Wait()
}
