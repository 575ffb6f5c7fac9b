package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/rpc"
)

// plugin answers Hello with the error of its field and Hold until it is told
// to stop.
type plugin struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	hello func() error
}

func (p *plugin) Hello(context.Context, *pluginv1.HelloRequest) (*pluginv1.HelloResponse, error) {
	return &pluginv1.HelloResponse{Name: "test"}, p.hello()
}

func (p *plugin) Hold(ctx context.Context, _ *pluginv1.HoldRequest, stream pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := stream.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func serve(t testing.TB, p *plugin) (string, *rpc.Server) {
	t.Helper()
	return serveObserved(t, p, nil)
}

func serveHandler(t testing.TB, p pluginv1connect.NetworkPluginServiceHandler) string {
	t.Helper()
	socket, _ := serveObserved(t, p, nil)
	return socket
}

func serveObserved(t testing.TB, p pluginv1connect.NetworkPluginServiceHandler, observe func(string) func(string)) (string, *rpc.Server) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(s, p) },
		Observe:  observe,
		Log:      slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket, server
}

func TestErrorKindsCrossTheWire(t *testing.T) {
	for _, kind := range []error{
		errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrAlreadyExists, errdefs.ErrFailedPrecondition,
		errdefs.ErrResourceExhausted, errdefs.ErrPermissionDenied, errdefs.ErrUnavailable, errdefs.ErrNotImplemented, errdefs.ErrInternal,
	} {
		t.Run(kind.Error(), func(t *testing.T) {
			socket, _ := serve(t, &plugin{hello: func() error { return errors.Join(errors.New("network a: no"), kind) }})
			c := rpc.Dial(socket)
			defer c.Close()
			_, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).Hello(t.Context(), &pluginv1.HelloRequest{})
			if !errors.Is(err, kind) {
				t.Errorf("got %v (%T), want kind %v", err, err, kind)
			}
		})
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	socket, _ := serve(t, &plugin{hello: func() error { panic("boom") }})
	c := rpc.Dial(socket)
	defer c.Close()
	_, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).Hello(t.Context(), &pluginv1.HelloRequest{})
	if !errors.Is(err, errdefs.ErrInternal) {
		t.Errorf("got %v, want an internal error", err)
	}
}

// Whoever observes sees each call as its client does.
func TestObserve(t *testing.T) {
	for want, hello := range map[string]func() error{
		"ok":             func() error { return nil },
		"not_found":      func() error { return errdefs.ErrNotFound },
		"internal":       func() error { panic("boom") },
		"unknown method": nil,
	} {
		told := make(chan string, 2)
		socket, _ := serveObserved(t, &plugin{hello: hello}, func(procedure string) func(string) {
			told <- procedure
			return func(code string) { told <- code }
		})
		c := rpc.Dial(socket)
		defer c.Close()
		client := pluginv1connect.NewNetworkPluginServiceClient(c.Client)
		if hello == nil {
			answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
				return net.Dial("unix", socket)
			}}}).Post("http://patchbay/patchbay.plugin.v1.NetworkPluginService/NoSuchCall", "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if len(told) > 0 {
				t.Errorf("a call that there is not (%s): observed as %s", answer.Status, <-told)
			}
			continue
		}
		_, _ = client.Hello(t.Context(), &pluginv1.HelloRequest{})
		if procedure, code := <-told, <-told; procedure != pluginv1connect.NetworkPluginServiceHelloProcedure || code != want {
			t.Errorf("got %s %s, want Hello %s", procedure, code, want)
		}
	}
	// A stream has ended when its client is gone.
	told := make(chan string, 2)
	socket, _ := serveObserved(t, &plugin{}, func(procedure string) func(string) {
		told <- procedure
		return func(code string) { told <- code }
	})
	c := rpc.Dial(socket)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).Hold(ctx, &pluginv1.HoldRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	<-told
	if len(told) > 0 {
		t.Errorf("a stream that goes on has ended as %s", <-told)
	}
	cancel()
	if code := <-told; code != "canceled" {
		t.Errorf("a stream without its client has ended as %s, want canceled", code)
	}
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "gone")
	_, err := pluginv1connect.NewNetworkPluginServiceClient(rpc.Dial(socket).Client).Hello(t.Context(), &pluginv1.HelloRequest{})
	if !errors.Is(err, errdefs.ErrUnavailable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want unavailable, not exist", err)
	}
}

func TestStreamEndsWhenServerGoes(t *testing.T) {
	socket, server := serve(t, &plugin{hello: func() error { return nil }})
	c := rpc.Dial(socket)
	defer c.Close()
	stream, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).Hold(t.Context(), &pluginv1.HoldRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if _, err := stream.Receive(); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

// A connection that nobody needs any more is closed, also at the server's side.
func TestIdleConnectionsEnd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	watched := &watchedListener{Listener: l, ends: make(chan struct{}, 8)}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) {
			pluginv1connect.RegisterNetworkPluginServiceHandler(s, &plugin{hello: func() error { return nil }})
		},
		Private: true,
		Log:     slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(watched) }()
	defer func() { server.Close(); <-done }()
	client := pluginv1connect.NewNetworkPluginServiceClient(rpc.Dial(socket).Client)
	hello := func() {
		t.Helper()
		if _, err := client.Hello(t.Context(), &pluginv1.HelloRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	hello()
	<-watched.ends
	hello()
}

// watchedListener tells of each of its connections that was closed.
type watchedListener struct {
	net.Listener
	ends chan struct{}
}

func (l *watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{c.(*net.UnixConn), sync.OnceFunc(func() { l.ends <- struct{}{} })}, nil
}

type watchedConn struct {
	*net.UnixConn
	closed func()
}

func (c *watchedConn) Close() error {
	defer c.closed()
	return c.UnixConn.Close()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDeadline(t *testing.T) {
	block := make(chan struct{})
	socket, _ := serve(t, &plugin{hello: func() error { <-block; return nil }})
	defer close(block)
	c := rpc.Dial(socket)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).Hello(ctx, &pluginv1.HelloRequest{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want deadline exceeded", err)
	}
}

// TestShutdownLetsCallsEnd: a running call gets its answer, and Shutdown
// returns then; a stream that does not end is cut when the time is over.
func TestShutdownLetsCallsEnd(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	socket, server := serve(t, &plugin{hello: func() error { close(entered); <-proceed; return nil }})
	c := rpc.Dial(socket)
	defer c.Close()
	client := pluginv1connect.NewNetworkPluginServiceClient(c.Client)
	answer := make(chan error, 1)
	go func() {
		_, err := client.Hello(t.Context(), &pluginv1.HelloRequest{})
		answer <- err
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { server.Shutdown(t.Context()); close(stopped) }()
	select {
	case <-stopped:
		t.Error("stopped in the middle of a call")
	case err := <-answer:
		t.Errorf("answer before the call has ended: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	close(proceed)
	if err := <-answer; err != nil {
		t.Errorf("the running call: %v", err)
	}
	<-stopped

	socket, server = serve(t, &plugin{hello: func() error { return nil }})
	c2 := rpc.Dial(socket)
	defer c2.Close()
	stream, err := pluginv1connect.NewNetworkPluginServiceClient(c2.Client).Hold(t.Context(), &pluginv1.HoldRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	server.Shutdown(ctx)
	if _, err := stream.Receive(); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

// A server that takes one form of messages alone is spoken to in that one,
// whatever the caller was told before.
func TestFormThatTheServerTakes(t *testing.T) {
	t.Parallel()
	for name, takesJSON := range map[string]bool{"json": true, "binary": false} {
		for _, begin := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s asked in json %v first", name, begin), func(t *testing.T) {
				t.Parallel()
				socket, asked := serveOneForm(t, takesJSON)
				c := rpc.Dial(socket)
				defer c.Close()
				c.SpeakJSON(begin)
				api := pluginv1connect.NewNetworkPluginServiceClient(c.Client)
				stream, err := api.Hold(t.Context(), &pluginv1.HoldRequest{Keys: []string{"a/0"}})
				if err != nil {
					t.Fatal(err)
				}
				defer stream.Close()
				if _, err := stream.Receive(); err != nil {
					t.Errorf("hold: %v", err)
				}
				answer, err := api.Hello(t.Context(), &pluginv1.HelloRequest{})
				if err != nil || answer.GetName() != "test" {
					t.Errorf("hello: %v, %v", answer, err)
				}
				want := int64(2)
				if begin != takesJSON {
					want = 3 // it has learned by the first call
				}
				if got := asked.Load(); got != want {
					t.Errorf("got %d requests, want %d", got, want)
				}
			})
		}
	}
}

// serveOneForm serves a plugin that takes JSON alone, or binary messages alone,
// and counts the requests.
func serveOneForm(t *testing.T, takesJSON bool) (string, *atomic.Int64) {
	t.Helper()
	server := connect.NewServer()
	pluginv1connect.RegisterNetworkPluginServiceHandler(server, &plugin{hello: func() error { return nil }})
	inner, asked := http.NewServeMux(), new(atomic.Int64)
	connecthttp.Mount(inner, server, rpc.Codecs())
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasSuffix(r.Header.Get("Content-Type"), "json") != takesJSON {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		inner.ServeHTTP(w, r)
	})}
	done := make(chan error)
	go func() { done <- h.Serve(l) }()
	t.Cleanup(func() {
		h.Close()
		<-done
	})
	return socket, asked
}
