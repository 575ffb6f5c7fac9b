package containers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// kindError is an error with a kind of the closed set that adds nothing to its
// text.
type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// kindf returns an error of a kind; the text is all of what format says.
func kindf(kind error, format string, args ...any) error {
	return &kindError{fmt.Errorf(format, args...), kind}
}

// kindOf gives faults a kind; nil stays nil.
func kindOf(kind, err error) error {
	if err == nil {
		return nil
	}
	return &kindError{err, kind}
}

// connectionFailed reports whether a call failed because nobody served it, or
// not to its end: then there is no answer, unlike with any other error.
func connectionFailed(err error) bool {
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, os.ErrNotExist} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
