// Package fault makes errors with a kind of the closed set whose text is what
// users read and nothing else.
package fault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/containerd/errdefs"
)

type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// New returns an error of a kind; the text is all of what format says.
func New(kind error, format string, args ...any) error {
	return &kindError{fmt.Errorf(format, args...), kind}
}

// As gives an error a kind; nil stays nil.
func As(kind, err error) error {
	if err == nil {
		return nil
	}
	return &kindError{err, kind}
}

// IsConnection reports whether a call failed because nobody served it, or not
// to its end: then there is no answer, unlike with any other error.
func IsConnection(err error) bool {
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, os.ErrNotExist} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// KindOfFile returns the kind of an error of the file system.
func KindOfFile(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return errdefs.ErrResourceExhausted
	case errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission):
		return errdefs.ErrFailedPrecondition
	}
	return errdefs.ErrInternal
}
