package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/rpc"
)

// leaver leaves each stream of Hold after a message.
type leaver struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	rests chan *rpc.Rest
	gone  chan struct{}
}

func (l *leaver) Hold(ctx context.Context, _ *pluginv1.HoldRequest, stream pluginv1connect.NetworkPluginServiceHoldServerStream) error {
	if err := stream.Send(&pluginv1.HoldResponse{}); err != nil {
		return err
	}
	rest := rpc.Leave(ctx, func() { l.gone <- struct{}{} })
	l.rests <- rest
	return rest.Wait()
}

// Watch is called over HTTP/2 in the test of it.
func (l *leaver) Watch(ctx context.Context, _ *pluginv1.WatchRequest, stream pluginv1connect.NetworkPluginServiceWatchServerStream) error {
	if err := stream.Send(&pluginv1.WatchResponse{Revision: 1}); err != nil {
		return err
	}
	rest := rpc.Leave(ctx, func() { l.gone <- struct{}{} })
	l.rests <- rest
	return rest.Wait()
}
