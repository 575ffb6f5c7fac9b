package running

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/containers"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/resource"
)

type attachOptions struct {
	noStdin bool
}

// NewAttach returns the command "attach".
func NewAttach(f *frame.Frame) *cobra.Command {
	var o attachOptions
	c := &cobra.Command{
		Use:   "attach [FLAGS] NAME",
		Short: "Join the standard streams of a running container",
		Long: `Join the standard streams of a running container until it ends, and exit as it
does. Signals are passed on. Ctrl-P Ctrl-Q leaves a container with a terminal
running.`,
		Example:           `  patchbay attach shell`,
		Args:              f.Exactly(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(1),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runAttach(ctx, f, api.Containers, args[0], o)
		}),
	}
	c.Flags().BoolVar(&o.noStdin, "no-stdin", false, "do not pass standard input on")
	return c
}

type attachClient interface {
	sessionClient
	waiter
	containers.Getter
}

func runAttach(ctx context.Context, f *frame.Frame, api attachClient, name string, o attachOptions) error {
	container, err := containers.Get(ctx, api, name)
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
	exit, err := s.attach(ctx, f.Roots().StdioSocket(container.ID))
	return s.outcome(ctx, api, exit, err, container.Configuration.AutoRemove)
}
