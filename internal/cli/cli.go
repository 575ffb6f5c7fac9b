// Package cli is the command line of Patchbay: one file for each command. A
// command parses its flags, calls patchbayd and shows the answer; it decides
// nothing that another client of patchbayd would want decided too.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/trace"
)

// Config is what the command line gets from its process.
type Config struct {
	Args                  []string // without the program's name
	Stdin, Stdout, Stderr *os.File
}

// Main runs one command and returns the code for the process to exit with.
func Main(c Config) int {
	ctx, keep, stop := interruptible()
	defer stop()
	f := &frame.Frame{Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, KeepSignals: keep}
	root := newRootFor(f, c.Args)
	root.SetArgs(c.Args)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	traced, span := trace.FromEnvironment("patchbay").Join(ctx, "command line", trace.Program, trace.ParentFromEnvironment())
	err := root.ExecuteContext(traced)
	if isParseError(err) {
		err = frame.NewUsageError(usageFaults(c.Args))
	}
	span.End(err)
	return frame.Finish(ctx, err, c.Stderr)
}

// interruptible returns a context that SIGINT and SIGTERM end, and SIGHUP unless whoever
// started the process has it ignored, as nohup(1) does. After keep they do so no longer,
// and the context goes on.
func interruptible() (ctx context.Context, keep, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	ending := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) {
		ending = append(ending, unix.SIGHUP)
	}
	signal.Notify(signals, ending...)
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		select {
		case <-signals:
			cancel()
		case <-done:
		}
	})
	keep = sync.OnceFunc(func() {
		signal.Stop(signals)
		close(done)
		watching.Wait()
	})
	return ctx, keep, func() { keep(); cancel() }
}

// Commands returns the tree of all commands, for their documentation. They
// cannot be run.
func Commands() *cobra.Command {
	root := newRoot(&frame.Frame{Stdout: io.Discard, Stderr: io.Discard})
	root.DisableAutoGenTag = true
	return root
}
