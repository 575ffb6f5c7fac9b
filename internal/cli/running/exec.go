package running

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/parse"
	"patchbay.dev/patchbay/internal/cli/terminal"
	"patchbay.dev/patchbay/internal/stdio"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

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
"patchbay help exit-codes").`,
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
	answer, err := api.Exec(ctx, &apiserverv1.ContainerServiceExecRequest{
		Name: name, Process: wire.ProcessToProto(o.process), Privileged: o.privileged, Detach: o.detach,
	})
	if err != nil {
		return err
	}
	if o.detach {
		_, err := fmt.Fprintln(f.Stdout, answer.GetProcessId())
		return err
	}
	s := session{
		frame: f, api: api, container: name, process: answer.GetProcessId(),
		terminal: o.process.Terminal, stdin: o.process.Stdin,
	}
	exit, err := s.attach(ctx, answer.GetStdioSocket())
	switch {
	case err == nil:
		return ended(exit)
	case errors.Is(err, errDetached):
		return nil
	case !errdefs.IsUnavailable(err) && !errdefs.IsNotFound(err):
		return err
	}
	waited, waitErr := api.WaitExec(ctx, &apiserverv1.ContainerServiceWaitExecRequest{Name: name, ProcessId: answer.GetProcessId()})
	if waitErr != nil {
		return errors.Join(err, waitErr)
	}
	return ended(stdio.Exit{Code: int(waited.GetExitCode())})
}
