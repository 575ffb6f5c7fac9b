package rpc

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/trace"
)

// lessor holds everything.
type lessor struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
}

func (lessor) Allocate(context.Context, *pluginv1.AllocateRequest) (*pluginv1.AllocateResponse, error) {
	return &pluginv1.AllocateResponse{}, nil
}

func (lessor) Hold(ctx context.Context, _ *pluginv1.HoldRequest, stream pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := stream.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	return Leave(ctx, func() {}).Wait()
}

// everything wants all spans, of which nobody asks for any.
type everything struct{}

func (everything) Wants(trace.ID) (spans, allocations bool) { return true, false }
func (everything) Begin(trace.Record)                       {}
func (everything) End(trace.Record)                         {}

// What our callers send is a plain call, with a timeout, of a trace, and in a stream that is
// left: no server of net/http is made for it.
func TestOwnCallsArePlain(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{
		Register: func(c *connect.Server) { pluginv1connect.RegisterNetworkPluginServiceHandler(c, lessor{}) },
		Log:      slog.New(slog.DiscardHandler),
	})
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	defer func() { s.Close(); <-served }()
	c := Dial(socket)
	defer c.Close()
	api := pluginv1connect.NewNetworkPluginServiceClient(c.Client)

	ctx, span := trace.NewRecorder("test", everything{}).Join(t.Context(), "test", trace.Program, trace.ParseParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"))
	defer span.End(nil)
	if _, err := api.Allocate(ctx, &pluginv1.AllocateRequest{Key: "a/0"}); err != nil {
		t.Fatal(err)
	}
	stream, err := api.Hold(ctx, &pluginv1.HoldRequest{Keys: []string{"a/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	if _, err := api.Allocate(limited, &pluginv1.AllocateRequest{Key: "a/1"}); err != nil {
		t.Fatal(err)
	}
	if s.drain() != nil {
		t.Error("some of it was not plain")
	}
}
