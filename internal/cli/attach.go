package cli

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/resource"
)

type attachOptions struct {
	noStdin bool
}

func newAttach(f *frame) *cobra.Command {
	var o attachOptions
	c := &cobra.Command{
		Use:   "attach [FLAGS] NAME",
		Short: "Join the standard streams of a running container",
		Long: `Join the standard streams of a running container until it ends, and exit as it
does. Signals are passed on. Ctrl-P Ctrl-Q leaves a container with a terminal
running.`,
		Example:           `  patchbay attach shell`,
		Args:              f.exactly(1, "a NAME"),
		ValidArgsFunction: f.completeContainers(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runAttach(c.Context(), f, api.Containers, args[0], o)
		},
	}
	c.Flags().BoolVar(&o.noStdin, "no-stdin", false, "do not pass standard input on")
	return c
}

type attachClient interface {
	sessionClient
	waiter
	containerGetter
}

func runAttach(ctx context.Context, f *frame, api attachClient, name string, o attachOptions) error {
	container, err := getContainer(ctx, api, name)
	if err != nil {
		return err
	}
	if container.Status.State != resource.ContainerRunning {
		return fmt.Errorf("container %s: is %s, want a running one: %w", name, container.Status.State, errdefs.ErrFailedPrecondition)
	}
	process := container.Configuration.Process
	s := &session{
		frame: f, api: api, container: container.ID,
		terminal: process.Terminal, stdin: process.Stdin && !o.noStdin,
	}
	s.signals = f.catchSignals()
	defer s.signals.Stop()
	exit, err := s.attach(ctx, f.roots().StdioSocket(container.ID))
	return s.outcome(ctx, api, exit, err, container.Configuration.AutoRemove)
}
