package rpc

import "github.com/containerd/errdefs"

// unavailableError is a failure of the connection, not an answer.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string   { return "connection failed: " + e.cause.Error() }
func (e *unavailableError) Unwrap() []error { return []error{errdefs.ErrUnavailable, e.cause} }
