package rpc

import (
	"context"
	"errors"
	"sync"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/internal/rpc/direct"
	"patchbay.dev/patchbay/internal/rpc/jsonform"
)

// negotiate opens a call in the form that the server took last.
func (h *hybrid) negotiate(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	json := h.json.Load()
	stream, err := h.form(json).NewClientStream(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &formStream{stream: stream, again: func() (connect.ClientStream, error) {
		h.json.CompareAndSwap(json, !json)
		return h.form(!json).NewClientStream(ctx, spec)
	}}, nil
}

func (h *hybrid) form(json bool) connect.Transport {
	if json {
		return h.text
	}
	return h.binary
}

// formStream makes its call once more, in the other form, when the server does
// not take that of the message. Nothing has come of the call then.
type formStream struct {
	again func() (connect.ClientStream, error) // nil once an answer has come
	sent  any

	mu     sync.Mutex
	stream connect.ClientStream // guarded by mu
}

func (s *formStream) current() connect.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream
}

func (s *formStream) SendHeaders() error { return s.current().SendHeaders() }
func (s *formStream) CloseSend() error   { return s.current().CloseSend() }
func (s *formStream) Close() error       { return s.current().Close() }

func (s *formStream) Send(msg any) error {
	s.sent = msg
	return s.current().Send(msg)
}

func (s *formStream) Receive(msg any) error {
	err := s.current().Receive(msg)
	if err == nil || s.again == nil || !errors.Is(err, direct.ErrForm) {
		s.again = nil
		return err
	}
	stream, err := s.again()
	s.again = nil
	if err != nil {
		return err
	}
	s.mu.Lock()
	former := s.stream
	s.stream = stream
	s.mu.Unlock()
	_ = former.Close() // it has failed
	if err := stream.Send(s.sent); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.Receive(msg)
}

// text is the JSON form of messages.
type text struct{}

func (text) Name() string { return "json" }

func (text) MarshalAppend(b []byte, m message.Message) ([]byte, error) {
	return jsonform.Append(b, m)
}

func (text) Unmarshal(data []byte, m message.Message) error {
	return jsonform.Unmarshal(data, m)
}
