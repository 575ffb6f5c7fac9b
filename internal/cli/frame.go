package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client"
	"patchbay.dev/patchbay/internal/layout"
)

// dialTimeout is far more than connecting to a unix socket takes; it is for
// a server that is stopped in a debugger or drowned.
const dialTimeout = 5 * time.Second

// frame is what a command gets from around it: streams, the global flags, and a
// place for the faults of its own flags, so that all are told at once.
type frame struct {
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer

	root, runRoot string
	faults        []error
	// checks find the faults of a command that only show when its flags are seen
	// together.
	checks map[*cobra.Command]func()

	// keepSignals lets SIGINT and SIGTERM cancel the command no longer; a command
	// that passes signals on calls it.
	keepSignals func()
}

// fault keeps what is wrong with the use of the command; nil is nothing.
func (f *frame) fault(err error) {
	if err != nil {
		f.faults = append(f.faults, err)
	}
}

// check binds what a command checks of its flags. The command calls it itself
// when it runs; it is bound for a command line that cannot be run.
func (f *frame) check(c *cobra.Command, flags func()) {
	if f.checks == nil {
		f.checks = map[*cobra.Command]func(){}
	}
	f.checks[c] = flags
}

// usage returns the faults so far.
func (f *frame) usage() error {
	if len(f.faults) == 0 {
		return nil
	}
	return &usageError{errors.Join(distinct(f.faults)...)}
}

// roots returns where the instance is.
func (f *frame) roots() layout.Roots {
	r, err := layout.FromEnvironment(f.root, f.runRoot)
	f.fault(err)
	return r
}

// dial returns a client of patchbayd. It fails if the command was used wrongly,
// or if patchbayd cannot be reached, saying what to do.
func (f *frame) dial(ctx context.Context) (*client.APIServer, error) {
	roots := f.roots()
	if err := f.usage(); err != nil {
		return nil, err
	}
	if err := probe(ctx, roots.APISocket()); err != nil {
		return nil, err
	}
	return client.DialAPIServer(roots.APISocket()), nil
}

// probe connects once, for an error that says more than that of a call.
func probe(ctx context.Context, socket string) error {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", socket)
	switch {
	case err == nil:
		c.Close()
		return nil
	case errors.Is(err, os.ErrNotExist):
		return notRunning("no socket at " + socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return notRunning("nobody serves " + socket)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: permission denied: want root, or a user that allowed-users in %s lists%w",
			socket, layout.ConfigPath, quiet(errdefs.ErrPermissionDenied))
	}
	return fmt.Errorf("patchbayd: %w", err)
}

func notRunning(why string) error {
	start := `"patchbay system start"`
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		start += ` or "systemctl start patchbayd"`
	}
	return fmt.Errorf("patchbayd is not running (%s): start it with %s%w", why, start, quiet(errdefs.ErrUnavailable))
}

// quiet marks an error with a kind whose own text would say nothing more.
func quiet(kind error) error { return quietError{kind} }

type quietError struct{ kind error }

func (quietError) Error() string   { return "" }
func (q quietError) Unwrap() error { return q.kind }

// checked binds a flag whose values parse checks. A bad value is kept as a
// fault instead of ending the parsing, so that the other flags are checked too.
func checked[T any](f *frame, target *T, kind string, parse func(string) (T, error)) pflag.Value {
	return &checkedValue[T]{frame: f, target: target, kind: kind, parse: parse}
}

type checkedValue[T any] struct {
	frame  *frame
	target *T
	kind   string
	parse  func(string) (T, error)
	text   string
}

func (v *checkedValue[T]) Set(s string) error {
	parsed, err := v.parse(s)
	v.text, *v.target = s, parsed
	v.frame.fault(err)
	return nil
}

func (v *checkedValue[T]) Type() string   { return v.kind }
func (v *checkedValue[T]) String() string { return v.text }

// formatFlag binds --format.
func (f *frame) formatFlag(c *cobra.Command, target *output.Format, standard output.Format) {
	*target = standard
	v := &checkedValue[output.Format]{frame: f, target: target, kind: "format", parse: output.ParseFormat, text: string(standard)}
	c.Flags().Var(v, "format", "how to show it: table or json")
	complete(c, "format", string(output.FormatTable), string(output.FormatJSON))
}

// complete binds the words that a flag's completion offers.
func complete(c *cobra.Command, flag string, words ...string) {
	completeWith(c, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	})
}

func completeWith(c *cobra.Command, flag string, words cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // the flag does not exist: a fault of this package that every run shows
	}
}

// The number of arguments that a command takes.
func (f *frame) exactly(n int, want string) cobra.PositionalArgs {
	return f.arguments(want, func(got int) bool { return got == n })
}

func (f *frame) atLeast(n int, want string) cobra.PositionalArgs {
	return f.arguments(want, func(got int) bool { return got >= n })
}

func (f *frame) between(from, to int, want string) cobra.PositionalArgs {
	return f.arguments(want, func(got int) bool { return from <= got && got <= to })
}

func (f *frame) arguments(want string, ok func(int) bool) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if !ok(len(args)) {
			got := "got none"
			if len(args) > 0 {
				got = fmt.Sprintf("got %d: %q", len(args), args)
			}
			f.fault(fmt.Errorf("%swant %s, %s (usage: %s)", called(c), want, got, c.UseLine()))
		}
		return nil
	}
}
