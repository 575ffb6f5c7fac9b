package frame

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/cli/progress"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/layout"
)

// Frame is what a command gets from around it: streams, the global flags, and a
// place for the faults of its own flags, so that all are told at once.
type Frame struct {
	Stdin  *os.File
	Stdout io.Writer
	Stderr io.Writer

	// Words are what the command line begins with, as far as no command was made of it. Of
	// a command that they name, no others beside it are made; without words, all are.
	Words []string

	Root, RunRoot string
	Faults        []error
	// Checks find the faults of a command that only show when its flags are seen
	// together.
	Checks map[*cobra.Command]func()

	// Signals interrupt the command from its first call of patchbayd on. One that has
	// something to put right before, or without a call, says so by Signals.Interrupt; one
	// that passes them on, by Signals.Catch.
	Signals *terminal.Signals
}

// Fault keeps what is wrong with the use of the command; nil is nothing.
func (f *Frame) Fault(err error) {
	if err != nil {
		f.Faults = append(f.Faults, err)
	}
}

// Check binds what a command checks of its flags. The command calls it itself
// when it runs; it is bound for a command line that cannot be run.
func (f *Frame) Check(c *cobra.Command, flags func()) {
	if f.Checks == nil {
		f.Checks = map[*cobra.Command]func(){}
	}
	f.Checks[c] = flags
}

// Usage returns the faults so far.
func (f *Frame) Usage() error {
	if len(f.Faults) == 0 {
		return nil
	}
	return NewUsageError(errors.Join(Distinct(f.Faults)...))
}

// Roots returns where the instance is.
func (f *Frame) Roots() layout.Roots {
	r, err := layout.FromEnvironment(f.Root, f.RunRoot)
	f.Fault(err)
	return r
}

// Dial returns a client that is connected to patchbayd. It fails if the command was used
// wrongly, or if patchbayd cannot be reached, saying what to do.
func (f *Frame) Dial(ctx context.Context) (*apiclient.Client, error) {
	roots := f.Roots()
	if err := f.Usage(); err != nil {
		return nil, err
	}
	return f.Connect(ctx, roots)
}

// Calling is what a command runs that calls patchbayd: do gets a client of Dial, which is
// closed after it.
func (f *Frame) Calling(do func(ctx context.Context, api *apiclient.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := f.Dial(c.Context())
		if err != nil {
			return err
		}
		defer api.Close()
		return do(c.Context(), api, args)
	}
}

// Connect is Dial where roots are known. Its error is errdefs.ErrUnavailable when patchbayd
// is not running. Signals interrupt the command once it has called: patchbayd works then, and
// to watch for them meanwhile takes no time.
func (f *Frame) Connect(ctx context.Context, roots layout.Roots) (*apiclient.Client, error) {
	socket := roots.APISocket()
	api, err := apiclient.Connect(ctx, socket, f.Signals.Interrupt)
	switch {
	case err == nil:
		return api, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, notRunning("no socket at " + socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, notRunning("nobody serves " + socket)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%s: permission denied: want root, or a user that allowed-users in %s lists%w",
			socket, layout.ConfigPath, Quiet(errdefs.ErrPermissionDenied))
	}
	return nil, fmt.Errorf("patchbayd: %w", err)
}

func notRunning(why string) error {
	start := `"patchbay system start"`
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		start += ` or "systemctl start patchbayd"`
	}
	return fmt.Errorf("patchbayd is not running (%s): start it with %s%w", why, start, Quiet(errdefs.ErrUnavailable))
}

// Quiet marks an error with a kind whose own text would say nothing more.
func Quiet(kind error) error { return quietError{kind} }

type quietError struct{ kind error }

func (quietError) Error() string   { return "" }
func (q quietError) Unwrap() error { return q.kind }

// Checked binds a flag whose values parse checks. A bad value is kept as a
// Fault instead of ending the parsing, so that the other flags are checked too.
func Checked[T any](f *Frame, target *T, kind string, parse func(string) (T, error)) pflag.Value {
	return &checkedValue[T]{frame: f, target: target, kind: kind, parse: parse}
}

// CheckedDefault is checked for a flag whose default is shown as a text; the target
// has it already.
func CheckedDefault[T any](f *Frame, target *T, kind string, parse func(string) (T, error), text string) pflag.Value {
	return &checkedValue[T]{frame: f, target: target, kind: kind, parse: parse, text: text}
}

type checkedValue[T any] struct {
	frame  *Frame
	target *T
	kind   string
	parse  func(string) (T, error)
	text   string
}

func (v *checkedValue[T]) Set(s string) error {
	parsed, err := v.parse(s)
	v.text, *v.target = s, parsed
	v.frame.Fault(err)
	return nil
}

func (v *checkedValue[T]) Type() string   { return v.kind }
func (v *checkedValue[T]) String() string { return v.text }

// FormatFlag binds --format.
func (f *Frame) FormatFlag(c *cobra.Command, target *output.Format, standard output.Format) {
	*target = standard
	c.Flags().Var(CheckedDefault(f, target, "format", output.ParseFormat, string(standard)), "format", "how to show it: table or json")
	Complete(c, "format", string(output.FormatTable), string(output.FormatJSON))
}

// Complete binds the words that a flag's completion offers.
func Complete(c *cobra.Command, flag string, words ...string) {
	CompleteWith(c, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	})
}

// CompleteWith binds the function of a flag's completion.
func CompleteWith(c *cobra.Command, flag string, words cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // the flag does not exist: a fault of this package that every run shows
	}
}

// Exactly wants a number of arguments; want says of what.
func (f *Frame) Exactly(n int, want string) cobra.PositionalArgs {
	return f.arguments(want, func(got int) bool { return got == n })
}

// AtLeast wants n arguments or more.
func (f *Frame) AtLeast(n int, want string) cobra.PositionalArgs {
	return f.arguments(want, func(got int) bool { return got >= n })
}

// Between wants from one number of arguments to another.
func (f *Frame) Between(from, to int, want string) cobra.PositionalArgs {
	return f.arguments(want, func(got int) bool { return from <= got && got <= to })
}

func (f *Frame) arguments(want string, ok func(int) bool) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if !ok(len(args)) {
			got := "got none"
			if len(args) > 0 {
				got = fmt.Sprintf("got %d: %q", len(args), args)
			}
			f.Fault(fmt.Errorf("%swant %s, %s (usage: %s)", Called(c), want, got, c.UseLine()))
		}
		return nil
	}
}

// Progress shows a transfer on standard error.
func (f *Frame) Progress(quiet bool) *progress.Display {
	if quiet {
		return progress.None()
	}
	return progress.New(f.Stderr)
}
