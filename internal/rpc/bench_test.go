package rpc_test

import (
	"testing"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/rpc"
)

// One question and its answer over a unix socket, on a connection that is there.
func BenchmarkCall(b *testing.B) {
	socket, _ := serve(b, &plugin{hello: func() error { return nil }})
	c := rpc.Dial(socket)
	defer c.Close()
	client := pluginv1connect.NewNetworkPluginServiceClient(c.Client)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Hello(b.Context(), &pluginv1.HelloRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}

// The same with a connection of its own.
func BenchmarkFirstCall(b *testing.B) {
	socket, _ := serve(b, &plugin{hello: func() error { return nil }})
	b.ReportAllocs()
	for b.Loop() {
		c := rpc.Dial(socket)
		if _, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).Hello(b.Context(), &pluginv1.HelloRequest{}); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
