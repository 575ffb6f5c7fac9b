package wire

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"
	"github.com/containerd/errdefs"
)

// kinds is the closed set of error kinds and the RPC code of each. The first
// match wins in both directions.
var kinds = []struct {
	kind error
	code connect.Code
}{
	{errdefs.ErrInvalidArgument, connect.CodeInvalidArgument},
	{errdefs.ErrNotFound, connect.CodeNotFound},
	{errdefs.ErrAlreadyExists, connect.CodeAlreadyExists},
	{errdefs.ErrFailedPrecondition, connect.CodeFailedPrecondition},
	{errdefs.ErrResourceExhausted, connect.CodeResourceExhausted},
	{errdefs.ErrPermissionDenied, connect.CodePermissionDenied},
	{errdefs.ErrUnauthenticated, connect.CodeUnauthenticated},
	{errdefs.ErrUnavailable, connect.CodeUnavailable},
	{errdefs.ErrNotImplemented, connect.CodeUnimplemented},
	{errdefs.ErrAborted, connect.CodeAborted},
	{errdefs.ErrDataLoss, connect.CodeDataLoss},
	{context.Canceled, connect.CodeCanceled},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded},
	{errdefs.ErrInternal, connect.CodeInternal},
}

// remoteError is an error that came over the wire: its text is the sender's,
// its kind one of the closed set.
type remoteError struct {
	message string
	kind    error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.kind }

// ErrorToStatus returns err as an RPC error with the code of its kind and its
// Text. An error of no kind is internal. Nil stays nil.
func ErrorToStatus(err error) error {
	if err == nil {
		return nil
	}
	if status, ok := err.(*connect.Error); ok && !status.IsRemote() { //nolint:errorlint // around another one are words of ours
		return err
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return connect.NewError(k.code, Text(err))
		}
	}
	var status *connect.Error
	if errors.As(err, &status) && !status.IsRemote() {
		return connect.NewError(status.Code(), Text(err))
	}
	return connect.NewError(connect.CodeInternal, Text(err))
}

// ErrorFromStatus returns what a client got as an error of the closed set,
// so that errors.Is works across processes. Nil stays nil; an error that is no
// RPC error, such as io.EOF, is returned as it is.
func ErrorFromStatus(err error) error {
	var status *connect.Error
	if err == nil || !errors.As(err, &status) {
		return err
	}
	for _, k := range kinds {
		if status.Code() == k.code {
			return &remoteError{message: status.Message(), kind: k.kind}
		}
	}
	return &remoteError{message: status.Message(), kind: errdefs.ErrInternal}
}

// Kind returns the member of the closed set that err belongs to, nil for nil.
func Kind(err error) error {
	if err == nil {
		return nil
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.kind
		}
	}
	return errdefs.ErrInternal
}
