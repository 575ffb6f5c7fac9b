package rpc

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect/v2"
)

// negotiate opens a call in the form that the server took last.
func (h *hybrid) negotiate(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	json, refused := h.json.Load(), new(atomic.Bool)
	stream, err := h.form(json).NewClientStream(context.WithValue(ctx, refusalKey{}, refused), spec)
	if err != nil {
		return nil, err
	}
	return &formStream{stream: stream, refused: refused, again: func() (connect.ClientStream, error) {
		h.json.CompareAndSwap(json, !json)
		return h.form(!json).NewClientStream(ctx, spec)
	}}, nil
}

func (h *hybrid) form(json bool) connect.Transport {
	if json {
		return h.text()
	}
	return h.binary()
}

// formStream makes its call once more, in the other form, when the server does
// not take that of the message. Nothing has come of the call then.
type formStream struct {
	refused *atomic.Bool
	again   func() (connect.ClientStream, error) // nil once an answer has come
	sent    any

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
	if err == nil || s.again == nil || !s.refused.Load() {
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

type refusalKey struct{}

// refusals notes in the *atomic.Bool of a request's context that the server
// does not take the form of the message.
type refusals struct{ http.RoundTripper }

func (r refusals) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.RoundTripper.RoundTrip(request)
	if err == nil && answer.StatusCode == http.StatusUnsupportedMediaType {
		if refused, ok := request.Context().Value(refusalKey{}).(*atomic.Bool); ok {
			refused.Store(true)
		}
	}
	return answer, err
}
