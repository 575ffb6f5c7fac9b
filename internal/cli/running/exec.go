package running

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// endTimeout is how long the command tries to end a process that it leaves.
const endTimeout = 3 * time.Second

// exitBrokenPipe is how what SIGPIPE ends exits.
const exitBrokenPipe = 128 + int(unix.SIGPIPE)

type execOptions struct {
	process            resource.Process
	env                []string
	detach, privileged bool
}

// NewExec returns the command "exec".
func NewExec(f *frame.Frame) *cobra.Command {
	var o execOptions
	c := &cobra.Command{
		Use:   "exec [FLAGS] NAME COMMAND [ARG...]",
		Short: "Run a further command in a running container",
		Long: `Run a further command in a running container and exit as it does (see
"patchbay help exit-codes").

Signals are passed on to it. It ends with this command: when the terminal is
closed, or nobody reads its output any more, it is told so by SIGHUP or SIGPIPE,
and the third Ctrl-C kills it. With -it, Ctrl-P Ctrl-Q leaves it running.`,
		Example: `  patchbay exec web ip -o addr
  patchbay exec -it web sh
  patchbay exec -d -u nobody -e LEVEL=2 web worker`,
		Args:              f.AtLeast(2, "a NAME and a COMMAND"),
		ValidArgsFunction: f.CompleteContainers(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.complete(f, args)
			if o.process.Terminal && !o.detach && !terminal.Is(f.Stdin) {
				f.Fault(errNoTerminal)
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return frame.EngineError(err)
			}
			defer api.Close()
			return frame.EngineError(runExec(c.Context(), f, api.Containers, args[0], o))
		},
	}
	flags := c.Flags()
	flags.SetInterspersed(false)
	flags.BoolVarP(&o.process.Stdin, "interactive", "i", false, "pass standard input on")
	flags.BoolVarP(&o.process.Terminal, "tty", "t", false, "give the process a terminal")
	flags.BoolVarP(&o.detach, "detach", "d", false, "leave it running in the background and show its id")
	flags.StringArrayVarP(&o.env, "env", "e", nil, "NAME=VALUE, or NAME for the caller's value (repeatable)")
	flags.StringVarP(&o.process.WorkingDirectory, "workdir", "w", "", "working directory (default: the container's)")
	flags.StringVarP(&o.process.User, "user", "u", "", "NAME|UID[:GROUP|GID] (default: the container's)")
	flags.BoolVar(&o.privileged, "privileged", false, "give the process all capabilities")
	f.Check(c, func() { o.complete(f, nil) })
	return c
}

func (o *execOptions) complete(f *frame.Frame, args []string) {
	o.process.Args = []string{"command"} // where there is none, that is told
	if len(args) > 1 {
		o.process.Args = args[1:]
	}
	var err error
	o.process.Env, err = parse.Environment(o.env, os.LookupEnv)
	f.Fault(err)
	f.Fault(resource.Exec{Process: o.process}.Validate())
}

type execClient interface {
	sessionClient
	Exec(context.Context, *apiserverv1.ContainerServiceExecRequest) (*apiserverv1.ContainerServiceExecResponse, error)
	WaitExec(context.Context, *apiserverv1.ContainerServiceWaitExecRequest) (*apiserverv1.ContainerServiceWaitExecResponse, error)
}

func runExec(ctx context.Context, f *frame.Frame, api execClient, name string, o execOptions) error {
	starting, cancel := lingering(ctx)
	defer cancel()
	answer, err := api.Exec(starting, &apiserverv1.ContainerServiceExecRequest{
		Name: name, Process: wire.ProcessToProto(o.process), Privileged: o.privileged, Detach: o.detach,
	})
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	s := session{
		frame: f, api: api, container: name, process: answer.GetProcessId(),
		terminal: o.process.Terminal, stdin: o.process.Stdin,
	}
	if ctx.Err() != nil { // interrupted just now: to leave it running would surprise
		return errors.Join(ctx.Err(), s.end(ctx, "SIGKILL"))
	}
	if o.detach {
		_, err := fmt.Fprintln(f.Stdout, answer.GetProcessId())
		return err
	}
	terminal.SurviveBrokenPipe()
	exit, err := s.attach(ctx, answer.GetStdioSocket())
	switch {
	case err == nil:
		return ended(exit)
	case errors.Is(err, errDetached):
		return nil
	case errors.Is(err, errImpatient):
		return &frame.ExitError{Code: frame.ExitInterrupted, Err: s.end(ctx, "SIGKILL")}
	case errors.Is(err, unix.EPIPE):
		return &frame.ExitError{Code: exitBrokenPipe, Err: s.end(ctx, "SIGPIPE")}
	case !errdefs.IsUnavailable(err) && !errdefs.IsNotFound(err):
		return errors.Join(err, s.end(ctx, "SIGHUP")) // nobody can see what it does
	}
	waited, waitErr := api.WaitExec(ctx, &apiserverv1.ContainerServiceWaitExecRequest{Name: name, ProcessId: answer.GetProcessId()})
	if waitErr != nil {
		return errors.Join(err, waitErr)
	}
	return ended(stdio.Exit{Code: int(waited.GetExitCode())})
}

// lingering returns a context that ends a while after ctx does: so that the name
// of what has just been started is still heard.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(endTimeout, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}
