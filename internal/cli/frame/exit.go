package frame

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/wire"
)

// The exit codes of patchbay; "patchbay help exit-codes" explains them.
const (
	exitFailure       = 1
	exitUsage         = 2
	ExitNotRunning    = 3 // system status
	exitEngine        = 125
	exitCannotInvoke  = 126
	exitNoCommand     = 127
	ExitInterrupted   = 130
	execFailurePrefix = "exec:" // how a runtime marks a failure to execute the command
)

// usageError is a command line that means nothing.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// NewUsageError makes an error one of use.
func NewUsageError(err error) error { return &usageError{err} }

// ExitError ends the process with a code of its own. Its error may be nil: then
// all has been said.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// EngineError gives an error of run and exec the code that container engines
// have for it, so that scripts tell it from a code of the container.
func EngineError(err error) error {
	var usage *usageError
	var exit *ExitError
	if err == nil || errors.As(err, &usage) || errors.As(err, &exit) || errors.Is(err, context.Canceled) {
		return err
	}
	code := exitEngine
	if strings.Contains(err.Error(), execFailurePrefix) {
		switch {
		case errors.Is(err, errdefs.ErrNotFound):
			code = exitNoCommand
		case errors.Is(err, errdefs.ErrPermissionDenied):
			code = exitCannotInvoke
		}
	}
	return &ExitError{Code: code, Err: err}
}

// Finish tells what went wrong, one line for each fault, and returns the code
// of the process.
func Finish(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var usage *usageError
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		Report(stderr, exit.Err)
		return exit.Code
	case errors.As(err, &usage):
		Report(stderr, err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return ExitInterrupted
	}
	Report(stderr, err)
	return exitFailure
}

// Report tells a fault, a line each.
func Report(w io.Writer, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(wire.Text(err), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(w, "patchbay: %s\n", line)
		}
	}
}

// Warn tells what a command that succeeds has to say, a line each.
func Warn(w io.Writer, warnings []string) {
	for _, text := range warnings {
		Report(w, errors.New("warning: "+text))
	}
}
