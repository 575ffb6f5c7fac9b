package direct_test

import (
	"testing"

	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/rpc/direct"
)

// One question and its answer over a unix socket, on a connection that is there, beside
// the client that net/http has.
func BenchmarkCall(b *testing.B) {
	socket, _ := serve(b, answering(nil), nil)
	own, other := direct.Dial(socket), rpc.Dial(socket)
	defer own.Close()
	defer other.Close()
	for name, c := range map[string]apiserverv1connect.SystemServiceClient{
		"direct": apiserverv1connect.NewSystemServiceClient(own.Client), "net-http": apiserverv1connect.NewSystemServiceClient(other.Client),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := info(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
