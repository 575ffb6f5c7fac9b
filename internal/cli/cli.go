// Package cli is the command line of Patchbay: one file for each command. A
// command parses its flags, calls patchbayd and shows the answer; it decides
// nothing that another client of patchbayd would want decided too.
package cli

import (
	"cmp"
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/trace"
)

// Config is what the command line gets from its process.
type Config struct {
	Args                  []string // without the program's name
	Stdin, Stdout, Stderr *os.File
}

// Main runs one command and returns the code for the process to exit with, which the caller
// does at once: what the command has open goes with the process.
func Main(c Config) int {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	f := &frame.Frame{Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, Signals: terminal.NewSignals(interrupt)}
	root := newRootFor(f, c.Args)
	root.SetArgs(c.Args)
	shown := &checked{out: c.Stdout}
	root.SetOut(shown)
	root.SetErr(c.Stderr)
	traced, span := trace.FromEnvironment("patchbay").Join(ctx, "command line", trace.Program, trace.ParentFromEnvironment())
	err := root.ExecuteContext(traced)
	if isParseError(err) {
		err = frame.NewUsageError(usageFaults(c.Args))
	}
	err = cmp.Or(err, shown.err)
	span.End(err)
	return frame.Finish(ctx, err, c.Stderr)
}

// Commands returns the tree of all commands, for their documentation. They
// cannot be run.
func Commands() *cobra.Command {
	root := newRoot(&frame.Frame{Stdout: io.Discard, Stderr: io.Discard})
	root.DisableAutoGenTag = true
	return root
}

// checked notes the first error of writing what cobra shows by itself, a help or a version, and
// whose errors it does not look at.
type checked struct {
	out io.Writer
	err error
}

func (c *checked) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	c.err = cmp.Or(c.err, err)
	return n, err
}
