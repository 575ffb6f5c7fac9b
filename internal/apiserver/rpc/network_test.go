package rpc

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/rpc"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// fakeNetworks has one network.
type fakeNetworks struct {
	Networks
	one resource.Network
}

func (f *fakeNetworks) Get(context.Context, string) (resource.Network, iter.Seq2[resource.NetworkAttachment, error], error) {
	n := f.one
	n.Status.Attachments = nil
	return n, func(yield func(resource.NetworkAttachment, error) bool) {
		for _, a := range f.one.Status.Attachments {
			if !yield(a, nil) {
				return
			}
		}
	}, nil
}

// Attachments that are encoded one by one are, for who reads the whole answer, those of the network.
func TestNetworkGet(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeNetworks{one: resource.Network{
		Metadata: resource.Metadata{ID: "id", Name: "web"},
		Status: resource.NetworkStatus{State: resource.NetworkReady, MTU: 1500, Attachments: []resource.NetworkAttachment{
			{Container: "a", ContainerID: "1", LeaseState: resource.LeaseHeld, Attachment: resource.Attachment{Hostname: "a", IPv4Address: netip.MustParsePrefix("10.0.0.2/24")}},
			{Container: "b", ContainerID: "2", LeaseState: resource.LeasePending, Attachment: resource.Attachment{Hostname: "b", Aliases: []string{"x", "y"}}},
		}},
	}}
	server := rpc.NewServer(rpc.ServerConfig{
		Register: func(s *connect.Server) { apiserverv1connect.RegisterNetworkServiceHandler(s, NewNetworks(fake)) },
		Log:      slog.New(slog.DiscardHandler),
	})
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	c := apiclient.Dial(l.Addr().String())
	defer func() {
		c.Close()
		server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	answer, err := c.Networks.Get(t.Context(), &apiserverv1.NetworkServiceGetRequest{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := apiwire.NetworkFromProto(answer.GetNetwork())
	if diff := cmp.Diff(fake.one, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}
