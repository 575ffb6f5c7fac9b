package rpc_test

import (
	"context"
	"reflect"
	"testing"

	"patchbay.dev/patchbay/api/message"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/api/patchbay/plugin/v1/pluginv1connect"
	"patchbay.dev/patchbay/internal/rpc"
)

func (p *plugin) List(context.Context, *pluginv1.ListRequest) (*pluginv1.ListResponse, error) {
	var parts [][]byte
	for _, key := range []string{"a", "b"} {
		part, err := message.Append(nil, &pluginv1.ListResponse{Leases: []*pluginv1.Lease{{Key: key}}})
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	var answer pluginv1.ListResponse
	answer.SetFields(parts)
	return &answer, nil
}

// What is made of encoded parts arrives in either form of messages.
func TestSetFields(t *testing.T) {
	t.Parallel()
	socket, _ := serve(t, &plugin{})
	for _, json := range []bool{false, true} {
		c := rpc.Dial(socket)
		defer c.Close()
		c.SpeakJSON(json)
		got, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).List(t.Context(), &pluginv1.ListRequest{})
		want := &pluginv1.ListResponse{Leases: []*pluginv1.Lease{{Key: "a"}, {Key: "b"}}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("in JSON %v: got %v, %v, want %v", json, got, err, want)
		}
	}
}
