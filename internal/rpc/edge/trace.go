package edge

import (
	"context"
	"errors"
	"io"
	"strings"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/internal/trace"
)

// Traced makes each call of a client that is part of a trace a span, and tells the
// server.
func Traced(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		if trace.Current(ctx) == nil {
			return next(ctx, spec)
		}
		ctx, span := trace.StartCall(ctx, Method(spec))
		if span == nil {
			return next(ctx, spec)
		}
		info, ok := connect.CallInfoForClientContext(ctx)
		if !ok {
			ctx, info = connect.NewClientContext(ctx)
		}
		parent := span.Parent()
		info.RequestHeader().Set(trace.ParentHeader, parent.Header())
		if state := parent.State(); state != "" {
			info.RequestHeader().Set(trace.StateHeader, state)
		}
		stream, err := next(ctx, spec)
		if err != nil {
			span.End(err)
			return nil, err
		}
		once := spec.StreamType&connect.StreamTypeServer == 0 || trace.IsBrief(ctx)
		return &tracedStream{ClientStream: stream, span: span, once: once}, nil
	}
}

// tracedStream ends a span with the last answer of a call.
type tracedStream struct {
	connect.ClientStream
	span *trace.Span
	once bool // the first answer is the last, or counts as that
}

func (s *tracedStream) Send(message any) error {
	err := s.ClientStream.Send(message)
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: Receive knows why
		s.span.End(err)
	}
	return err
}

func (s *tracedStream) Receive(message any) error {
	err := s.ClientStream.Receive(message)
	switch {
	case errors.Is(err, io.EOF):
		s.span.End(nil)
	case err != nil || s.once:
		s.span.End(err)
	}
	return err
}

func (s *tracedStream) Close() error {
	err := s.ClientStream.Close()
	s.span.End(nil)
	return err
}

// Method is the name of a procedure without that of its service.
func Method(spec connect.Spec) string {
	return spec.Procedure[strings.LastIndexByte(spec.Procedure, '/')+1:]
}
