package running

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/containers"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/terminal"
)

type startOptions struct {
	attach, interactive bool
}

// NewStart returns the command "start".
func NewStart(f *frame.Frame) *cobra.Command {
	var o startOptions
	c := &cobra.Command{
		Use:   "start [FLAGS] NAME...",
		Short: "Start containers that are not running",
		Example: `  patchbay start web db
  patchbay start -a job`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: func(c *cobra.Command, args []string) error {
			attach := o.attach || o.interactive
			if attach && len(args) > 1 {
				f.Fault(fmt.Errorf("start: --attach and --interactive take one NAME, got %d: %q", len(args), args))
			}
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			if attach {
				return runStartAttached(c.Context(), f, api.Containers, args[0], o)
			}
			return runStart(c.Context(), f, api.Containers, args)
		},
	}
	c.Flags().BoolVarP(&o.attach, "attach", "a", false, "show its output until it ends, and exit as it does")
	c.Flags().BoolVarP(&o.interactive, "interactive", "i", false, "pass standard input on too")
	return c
}

type starter interface {
	Start(context.Context, *apiserverv1.ContainerServiceStartRequest) (*apiserverv1.ContainerServiceStartResponse, error)
}

func runStart(ctx context.Context, f *frame.Frame, api starter, names []string) error {
	return frame.ForEachName(ctx, f.Stdout, names, func(ctx context.Context, name string) error {
		started, err := api.Start(ctx, &apiserverv1.ContainerServiceStartRequest{Name: name})
		frame.Warn(f.Stderr, started.GetWarnings())
		return err
	})
}

type startClient interface {
	sessionClient
	waiter
	starter
	containers.Getter
}

func runStartAttached(ctx context.Context, f *frame.Frame, api startClient, name string, o startOptions) error {
	container, err := containers.Get(ctx, api, name)
	if err != nil {
		return err
	}
	process := container.Configuration.Process
	s := &session{
		frame: f, api: api, container: container.ID,
		terminal: process.Terminal, stdin: process.Stdin && o.interactive,
	}
	if s.terminal && s.stdin && !terminal.Is(f.Stdin) {
		return frame.NewUsageError(fmt.Errorf("container %s: has a terminal, --interactive wants one on standard input too", name))
	}
	started, err := api.Start(ctx, &apiserverv1.ContainerServiceStartRequest{Name: container.ID, Attach: true})
	if err != nil {
		return frame.EngineError(err)
	}
	frame.Warn(f.Stderr, started.GetWarnings())
	exit, err := s.attach(ctx, started.GetStdioSocket())
	return s.outcome(ctx, api, exit, err, container.Configuration.AutoRemove)
}
