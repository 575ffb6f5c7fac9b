package cli

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
	exitNotRunning    = 3 // system status
	exitEngine        = 125
	exitCannotInvoke  = 126
	exitNoCommand     = 127
	exitInterrupted   = 130
	execFailurePrefix = "exec:" // how a runtime marks a failure to execute the command
)

// usageError is a command line that means nothing.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// exitError ends the process with a code of its own. Its error may be nil: then
// all has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// engineError gives an error of run and exec the code that container engines
// have for it, so that scripts tell it from a code of the container.
func engineError(err error) error {
	var usage *usageError
	var exit *exitError
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
	return &exitError{code: code, err: err}
}

// finish tells what went wrong, one line for each fault, and returns the code
// of the process.
func finish(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var usage *usageError
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		report(stderr, exit.err)
		return exit.code
	case errors.As(err, &usage):
		report(stderr, err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	report(stderr, err)
	return exitFailure
}

func report(w io.Writer, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(wire.Text(err), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(w, "patchbay: %s\n", line)
		}
	}
}
