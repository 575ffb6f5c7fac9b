// Package edge is what all calls have alike, whatever carries them: errors of the closed
// set of kinds, and spans.
package edge

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/wire"
)

// Kinds turns RPC codes back into error kinds.
func Kinds(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		stream, err := next(ctx, spec)
		if err != nil {
			return nil, classify(err)
		}
		return &kindStream{stream}, nil
	}
}

type kindStream struct{ connect.ClientStream }

func (s *kindStream) SendHeaders() error    { return classify(s.ClientStream.SendHeaders()) }
func (s *kindStream) Send(msg any) error    { return classify(s.ClientStream.Send(msg)) }
func (s *kindStream) Receive(msg any) error { return classify(s.ClientStream.Receive(msg)) }

// classify also covers a server that is not there: no socket, nobody behind it,
// or gone in the middle of a call.
func classify(err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF):
		return &unavailableError{err}
	}
	return wire.ErrorFromStatus(err)
}

// unavailableError is a failure of the connection, not an answer.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string {
	if errors.Is(e.cause, os.ErrNotExist) || errors.Is(e.cause, syscall.ECONNREFUSED) {
		return "connection failed: " + e.cause.Error()
	}
	return "connection lost before the answer: what was asked for may have been done (" + e.cause.Error() + ")"
}

func (e *unavailableError) Unwrap() []error { return []error{errdefs.ErrUnavailable, e.cause} }
