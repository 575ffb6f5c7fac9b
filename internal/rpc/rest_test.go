package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/rpc/direct"
)

// leaver leaves each stream of Hold after a message.
type leaver struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	rests   chan *rpc.Rest
	streams chan pluginv1connect.NetworkPluginServiceWatchServerStream
	gone    chan struct{}
	codes   chan string // what calls have ended with
}

func (l *leaver) Hold(ctx context.Context, _ *pluginv1.HoldRequest, stream pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := stream.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	rest := rpc.Leave(ctx, func() { l.gone <- struct{}{} })
	l.rests <- rest
	return rest.Wait()
}

// Watch leaves before any message.
func (l *leaver) Watch(ctx context.Context, _ *pluginv1.WatchRequest, stream pluginv1connect.NetworkPluginServiceWatchServerStream) error {
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	rest := rpc.Leave(ctx, func() { l.gone <- struct{}{} })
	l.rests <- rest
	l.streams <- stream
	return rest.Wait()
}

func serveLeaver(t *testing.T) (*leaver, string, *rpc.Server) {
	t.Helper()
	l := &leaver{rests: make(chan *rpc.Rest, 100), streams: make(chan pluginv1connect.NetworkPluginServiceWatchServerStream, 100), gone: make(chan struct{}, 100), codes: make(chan string, 100)}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(s, l) },
		Observe:  func(string) func(string) { return func(code string) { l.codes <- code } },
		Log:      slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l, socket, server
}

// dialers are the ways in which streams are called.
var dialers = map[string]func(t *testing.T, socket string) *connect.Client{
	"http/1.1": func(_ *testing.T, socket string) *connect.Client { return rpc.Dial(socket).Client },
	"json": func(_ *testing.T, socket string) *connect.Client {
		c := rpc.Dial(socket)
		c.SpeakJSON(true)
		return c.Client
	},
	"direct": func(_ *testing.T, socket string) *connect.Client { return direct.Dial(socket).Client },
	"http/2": func(t *testing.T, socket string) *connect.Client {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}
		t.Cleanup(transport.CloseIdleConnections)
		return connect.NewClient(connecthttp.NewTransport(&http.Client{Transport: transport}, "http://plugin", rpc.Codecs()))
	},
}

// left opens a stream, which its handler leaves.
func left(ctx context.Context, t *testing.T, client *connect.Client) pluginv1connect.NetworkPluginServiceHoldClientStream {
	t.Helper()
	stream, err := pluginv1connect.NewNetworkPluginServiceClient(client).Hold(ctx, &pluginv1.HoldRequest{Keys: []string{"a/0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestStreamIsLeft: whoever ends a stream that its handler has left, both sides hear of it,
// once, and the server's account of calls too.
func TestStreamIsLeft(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name+", ended by the caller", func(t *testing.T) {
			l, socket, _ := serveLeaver(t)
			ctx, cancel := context.WithCancel(t.Context())
			left(ctx, t, dial(t, socket))
			rest := <-l.rests
			if len(l.gone)+len(l.codes) > 0 {
				t.Error("told of an end before there was one")
			}
			cancel()
			<-l.gone
			if code := <-l.codes; code != "canceled" {
				t.Errorf("the call has ended as %s, want canceled", code)
			}
			rest.End(errdefs.ErrAborted)
			if len(l.gone)+len(l.codes) > 0 {
				t.Error("told twice of the end")
			}
		})
		t.Run(name+", ended by the server", func(t *testing.T) {
			l, socket, _ := serveLeaver(t)
			stream := left(t.Context(), t, dial(t, socket))
			rest := <-l.rests
			rest.End(errors.Join(errors.New("lease a: held by another stream"), errdefs.ErrAborted))
			rest.End(errdefs.ErrUnavailable)
			_, err := stream.Receive()
			if connect.CodeOf(err) != connect.CodeAborted && !errors.Is(err, errdefs.ErrAborted) {
				t.Errorf("got %v, want aborted", err)
			}
			<-l.gone
			if code := <-l.codes; code != "aborted" {
				t.Errorf("the call has ended as %s, want aborted", code)
			}
		})
		t.Run(name+", the server ends", func(t *testing.T) {
			l, socket, server := serveLeaver(t)
			stream := left(t.Context(), t, dial(t, socket))
			<-l.rests
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			server.Shutdown(ctx)
			if _, err := stream.Receive(); err == nil {
				t.Error("the stream goes on")
			}
			<-l.gone
		})
	}
}

// TestSendOnStreamThatIsLeft: what is sent later arrives in the same form and order, and not
// after the end.
func TestSendOnStreamThatIsLeft(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			l, socket, _ := serveLeaver(t)
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := pluginv1connect.NewNetworkPluginServiceClient(dial(t, socket)).Watch(ctx, &pluginv1.WatchRequest{})
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			rest, ours := <-l.rests, <-l.streams
			const messages = 100
			for i := range uint64(messages) {
				if err := rpc.Send(rest, &pluginv1.WatchResponse{Revision: i + 1}, ours); err != nil {
					t.Fatal(err)
				}
				got, err := stream.Receive()
				if err != nil || got.GetRevision() != i+1 {
					t.Fatalf("got %v, %v, want revision %d", got, err, i+1)
				}
			}
			cancel()
			<-l.gone
			if err := rpc.Send(rest, &pluginv1.WatchResponse{}, ours); !errdefs.IsUnavailable(err) {
				t.Errorf("after the end: got %v, want errdefs.ErrUnavailable", err)
			}
		})
	}
}

// TestDeadlineOfStreamThatIsLeft: the server ends a stream when its caller has said that it does,
// though the caller goes on.
func TestDeadlineOfStreamThatIsLeft(t *testing.T) {
	l, socket, _ := serveLeaver(t)
	client := pluginv1connect.NewNetworkPluginServiceClient(direct.Dial(socket).Client)
	for limit := 50 * time.Millisecond; ; limit *= 2 {
		stream, err := client.Hold(claims{t.Context(), time.Now().Add(limit)}, &pluginv1.HoldRequest{Keys: []string{"a/0"}})
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		_, err = stream.Receive()
		if errors.Is(err, context.DeadlineExceeded) {
			continue // it was over before the handler had left it
		}
		if err != nil {
			t.Fatal(err)
		}
		<-l.gone
		return
	}
}

// claims is a context that tells servers of a deadline at which it does not end.
type claims struct {
	context.Context
	deadline time.Time
}

func (c claims) Deadline() (time.Time, bool) { return c.deadline, true }

// TestStreamThatIsLeftTakesNoGoroutine: what has served the request ends, though the stream
// goes on.
func TestStreamThatIsLeftTakesNoGoroutine(t *testing.T) {
	l, socket, _ := serveLeaver(t)
	for range 10 {
		left(t.Context(), t, direct.Dial(socket).Client)
	}
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(5 * time.Minute); ; runtime.Gosched() {
		all := stacks[:runtime.Stack(stacks, true)]
		serving := bytes.Count(all, []byte("net/http.(*conn).serve("))
		if serving == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines serve 10 streams that were left:\n%s", serving, all)
		}
	}
	if len(l.gone) > 0 {
		t.Errorf("%d streams have ended, want none", len(l.gone))
	}
}
