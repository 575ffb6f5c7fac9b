package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
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

// sequence answers List with leases that are made while they are sent.
type sequence struct {
	pluginv1connect.UnimplementedNetworkPluginServiceHandler
	count int
	torn  error // after count
}

func (s *sequence) List(context.Context, *pluginv1.ListRequest) (*pluginv1.ListResponse, error) {
	one := &pluginv1.Lease{Owner: strings.Repeat("x", 100)}
	alone := &pluginv1.ListResponse{Leases: []*pluginv1.Lease{one}}
	var answer pluginv1.ListResponse
	answer.SetSequence(message.Sequence(func(yield func(int, error) bool) {
		for i := range s.count {
			if !yield(i, nil) {
				return
			}
		}
		if s.torn != nil {
			yield(0, s.torn)
		}
	}, func(i int) message.Message {
		one.Key = strconv.Itoa(i)
		return alone
	}))
	return &answer, nil
}

// What is made while it is sent arrives whole, or as an error, however it is asked for and read.
func TestSequences(t *testing.T) {
	t.Parallel()
	for _, torn := range []error{nil, errors.New("torn")} {
		for _, count := range []int{0, 1, 2_000} {
			socket := serveHandler(t, &sequence{count: count, torn: torn})
			for name, context := range map[string]func(context.Context) context.Context{
				"at once": func(ctx context.Context) context.Context { return ctx }, "in pieces": rpc.InPieces,
			} {
				for _, json := range []bool{false, true} {
					c := rpc.Dial(socket)
					defer c.Close()
					c.SpeakJSON(json)
					for range 2 { // the second call may have the connection of the first
						got, err := leases(pluginv1connect.NewNetworkPluginServiceClient(c.Client).List(context(t.Context()), &pluginv1.ListRequest{}))
						if (err != nil) != (torn != nil) || err == nil && got != count {
							t.Errorf("%s, in JSON %v, torn %v: got %d leases, %v, want %d", name, json, torn, got, err, count)
						}
					}
				}
			}
		}
	}
}

// leases counts the leases of an answer, which are to be in order.
func leases(answer *pluginv1.ListResponse, err error) (count int, _ error) {
	if err != nil {
		return 0, err
	}
	for part, err := range message.Parts(answer) {
		if err != nil {
			return count, err
		}
		for _, l := range part.GetLeases() {
			if l.GetKey() != strconv.Itoa(count) {
				return count, fmt.Errorf("lease %d: key %q", count, l.GetKey())
			}
			count++
		}
	}
	return count, nil
}

// Who does not read an answer to its end has neither its connection nor its server wait.
func TestPiecesAreLeft(t *testing.T) {
	t.Parallel()
	c := rpc.Dial(serveHandler(t, &sequence{count: 100_000}))
	defer c.Close()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		answer, err := pluginv1connect.NewNetworkPluginServiceClient(c.Client).List(rpc.InPieces(ctx), &pluginv1.ListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		parts := message.Parts(answer)
		for part := range parts {
			if len(part.GetLeases()) > 0 {
				break
			}
		}
		cancel()
		var last error
		for _, err := range parts {
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("after the context's end: %v", last)
		}
	}
}
