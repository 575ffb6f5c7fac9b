package direct_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/rpc/direct"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// system answers calls of all four ways as its fields say.
type system struct {
	apiserverv1connect.UnimplementedSystemServiceHandler
	info   func(context.Context) (*apiserverv1.InfoResponse, error)
	events func(context.Context, apiserverv1connect.SystemServiceEventsServerStream) error
}

func (s *system) Info(ctx context.Context, _ *apiserverv1.InfoRequest) (*apiserverv1.InfoResponse, error) {
	return s.info(ctx)
}

func (s *system) Events(ctx context.Context, _ *apiserverv1.EventsRequest, stream apiserverv1connect.SystemServiceEventsServerStream) error {
	return s.events(ctx, stream)
}

// Trace answers each request at once.
func (s *system) Trace(_ context.Context, stream apiserverv1connect.SystemServiceTraceServerStream) error {
	for n := uint64(1); ; n++ {
		if _, err := stream.Receive(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&apiserverv1.TraceResponse{Lost: n}); err != nil {
			return err
		}
	}
}

// images counts what it is sent.
type images struct {
	apiserverv1connect.UnimplementedImageServiceHandler
	loaded func(size int) error // after each message; -1 after the last
}

func (s *images) Load(_ context.Context, stream apiserverv1connect.ImageServiceLoadServerStream) (*apiserverv1.ImageServiceLoadResponse, error) {
	size := 0
	for {
		message, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return &apiserverv1.ImageServiceLoadResponse{Images: []*apiserverv1.Image{{Configuration: &apiserverv1.ImageConfiguration{Digest: fmt.Sprint(size)}}}}, s.loaded(-1)
		}
		if err != nil {
			return nil, err
		}
		size += len(message.GetData())
		if err := s.loaded(size); err != nil {
			return nil, err
		}
	}
}

// counting counts the connections that were made, and tells of their ends.
type counting struct {
	net.Listener
	accepted atomic.Int64
	closed   chan struct{} // told of each that the server has closed
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted.Add(1)
	return &closing{c, sync.OnceFunc(func() { l.closed <- struct{}{} })}, nil
}

type closing struct {
	net.Conn
	closed func()
}

func (c *closing) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// serve returns the socket of a server.
func serve(t testing.TB, s *system, i *images) (string, *rpc.Server) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	return socket, serveOn(t, l, s, i)
}

func serveOn(t testing.TB, l net.Listener, s *system, i *images) *rpc.Server {
	t.Helper()
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(c *connect.Server) {
			apiserverv1connect.RegisterSystemServiceHandler(c, s)
			apiserverv1connect.RegisterImageServiceHandler(c, i)
		},
		Private: true,
		Log:     slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server
}

func answering(err error) *system {
	return &system{info: func(context.Context) (*apiserverv1.InfoResponse, error) {
		return &apiserverv1.InfoResponse{Version: strings.Repeat("v", 5000)}, err
	}}
}

func dial(t testing.TB, socket string) apiserverv1connect.SystemServiceClient {
	t.Helper()
	c := direct.Dial(socket)
	t.Cleanup(c.Close)
	return apiserverv1connect.NewSystemServiceClient(c.Client)
}

func info(ctx context.Context, c apiserverv1connect.SystemServiceClient) (string, error) {
	answer, err := c.Info(ctx, &apiserverv1.InfoRequest{})
	return answer.GetVersion(), err
}

// Calls in a row take one connection, which is closed when nobody needs it.
func TestConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	inner, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l := &counting{Listener: inner, closed: make(chan struct{}, 8)}
	serveOn(t, l, answering(nil), nil)
	c := dial(t, socket)
	for range 3 {
		if got, err := info(t.Context(), c); err != nil || len(got) != 5000 {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	if n := l.accepted.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
	<-l.closed
	if _, err := info(t.Context(), c); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
}

// TestConnect: the first call takes the connection that was made before it, and is told of.
func TestConnect(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	if _, err := direct.Connect(t.Context(), socket, func() {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a server: got %v, want os.ErrNotExist", err)
	}
	inner, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l := &counting{Listener: inner, closed: make(chan struct{}, 8)}
	serveOn(t, l, answering(nil), nil)
	calls := 0
	c, err := direct.Connect(t.Context(), socket, func() { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client := apiserverv1connect.NewSystemServiceClient(c.Client)
	for range 2 {
		if _, err := info(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.accepted.Load(); n != 1 || calls != 2 {
		t.Errorf("got %d connections and heard of %d calls, want 1 and 2", n, calls)
	}
}

// A server that took another's place is met without an error.
func TestServerIsReplaced(t *testing.T) {
	t.Parallel()
	socket, first := serve(t, answering(nil), nil)
	c := dial(t, socket)
	if _, err := info(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	first.Close()
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, answering(nil), nil)
	if _, err := info(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, kind := range []error{errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrFailedPrecondition, errdefs.ErrPermissionDenied, errdefs.ErrUnavailable, errdefs.ErrInternal} {
		socket, _ := serve(t, answering(fmt.Errorf("network a: \"no\": %w", kind)), nil)
		_, err := info(t.Context(), dial(t, socket))
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), `network a: "no"`) {
			t.Errorf("got %v, want %v", err, kind)
		}
	}
	if _, err := info(t.Context(), dial(t, filepath.Join(t.TempDir(), "gone"))); !errors.Is(err, errdefs.ErrUnavailable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody there: got %v, want unavailable, not exist", err)
	}
}

// A server of another version may not know each call.
func TestCallThatIsNotKnown(t *testing.T) {
	t.Parallel()
	socket, _ := serve(t, &system{}, nil)
	d := direct.Dial(socket)
	t.Cleanup(d.Close)
	c := apiserverv1connect.NewContainerServiceClient(d.Client)
	_, err := c.Run(t.Context(), &apiserverv1.ContainerServiceRunRequest{})
	wantNotKnown(t, "ContainerService/Run", err)
	logs, err := c.Logs(t.Context(), &apiserverv1.ContainerServiceLogsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	_, err = logs.Receive()
	wantNotKnown(t, "ContainerService/Logs", err)
}

func wantNotKnown(t *testing.T, procedure string, err error) {
	t.Helper()
	if !errors.Is(err, errdefs.ErrNotImplemented) || !strings.Contains(err.Error(), procedure+": ") || !strings.Contains(err.Error(), "restart it") {
		t.Errorf("got %v, want not implemented, which names %s and says what to do", err, procedure)
	}
}

// The end of a context ends the call on both sides.
func TestContextEndsCall(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}, 2), make(chan error, 2)
	wait := func(ctx context.Context) error {
		entered <- struct{}{}
		<-ctx.Done()
		left <- ctx.Err()
		return ctx.Err()
	}
	socket, _ := serve(t, &system{
		info: func(ctx context.Context) (*apiserverv1.InfoResponse, error) { return nil, wait(ctx) },
		events: func(ctx context.Context, _ apiserverv1connect.SystemServiceEventsServerStream) error {
			return wait(ctx)
		},
	}, nil)
	c := dial(t, socket)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := info(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	<-left
	ctx, cancel = context.WithCancel(t.Context())
	stream, err := c.Events(ctx, &apiserverv1.EventsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	go func() { <-entered; cancel() }()
	if _, err := stream.Receive(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	<-left
	late := expiring{t.Context(), make(chan struct{})}
	go func() { <-entered; close(late.over) }()
	if _, err := info(late, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want deadline exceeded", err)
	}
	<-left
}

// expiring is a context whose deadline is when over is closed, whatever it says before.
type expiring struct {
	context.Context
	over chan struct{}
}

func (e expiring) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (e expiring) Done() <-chan struct{}       { return e.over }

func (e expiring) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestStreamFromServer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"ends": nil, "fails": fmt.Errorf("enough: %w", errdefs.ErrFailedPrecondition)} {
		socket, _ := serve(t, &system{events: func(_ context.Context, stream apiserverv1connect.SystemServiceEventsServerStream) error {
			for revision := range uint64(3) {
				if err := stream.Send(&apiserverv1.EventsResponse{Event: &apiserverv1.Event{Revision: revision}}); err != nil {
					return err
				}
			}
			return end
		}}, nil)
		stream, err := dial(t, socket).Events(t.Context(), &apiserverv1.EventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for want := range uint64(3) {
			got, err := stream.Receive()
			if err != nil || got.GetEvent().GetRevision() != want {
				t.Errorf("%s: got %v, %v, want %d", name, got, err, want)
			}
		}
		_, err = stream.Receive()
		if end == nil && !errors.Is(err, io.EOF) || end != nil && !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("%s: got %v", name, err)
		}
		stream.Close()
	}
}

func TestServerGoesDuringStream(t *testing.T) {
	t.Parallel()
	over := make(chan struct{}) // until then the call has no end that could be told
	socket, server := serve(t, &system{events: func(_ context.Context, stream apiserverv1connect.SystemServiceEventsServerStream) error {
		defer func() { <-over }()
		return stream.Send(&apiserverv1.EventsResponse{})
	}}, nil)
	defer close(over)
	stream, err := dial(t, socket).Events(t.Context(), &apiserverv1.EventsRequest{})
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

// Both sides send while the call goes on, and either end of it is told.
func TestStreamBothWays(t *testing.T) {
	t.Parallel()
	socket, _ := serve(t, answering(nil), nil)
	stream, err := dial(t, socket).Trace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for want := uint64(1); want < 4; want++ {
		if err := stream.Send(&apiserverv1.TraceRequest{}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Receive(); err != nil || got.GetLost() != want {
			t.Errorf("got %v, %v, want %d", got, err, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
}

func TestStreamToServer(t *testing.T) {
	t.Parallel()
	const messages, size = 64, 64 << 10
	full := fmt.Errorf("no space: %w", errdefs.ErrResourceExhausted)
	for name, fails := range map[string]func(size int) error{
		"takes all":        func(int) error { return nil },
		"fails early":      func(got int) error { return map[bool]error{true: full}[got > size] },
		"fails at the end": func(got int) error { return map[bool]error{true: full}[got < 0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, _ := serve(t, &system{}, &images{loaded: fails})
			c := direct.Dial(socket)
			defer c.Close()
			stream, err := apiserverv1connect.NewImageServiceClient(c.Client).Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range messages {
				if err = stream.Send(&apiserverv1.ImageServiceLoadRequest{Data: make([]byte, size)}); err != nil {
					break
				}
			}
			if err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("send: got %v, want io.EOF if any", err)
			}
			answer, err := stream.CloseAndReceive()
			if name == "takes all" {
				if err != nil || answer.GetImages()[0].GetConfiguration().GetDigest() != fmt.Sprint(messages*size) {
					t.Errorf("got %v, %v", answer, err)
				}
			} else if !errors.Is(err, errdefs.ErrResourceExhausted) {
				t.Errorf("got %v, want what the server says", err)
			}
		})
	}
}
