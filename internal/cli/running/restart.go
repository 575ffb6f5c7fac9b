package running

import (
	"context"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewRestart returns the command "restart".
func NewRestart(f *frame.Frame) *cobra.Command {
	var timeout frame.TimeoutFlag
	c := &cobra.Command{
		Use:   "restart [FLAGS] NAME...",
		Short: "Stop containers if they run, and start them",
		Long: `Stop containers if they run, and start them. They keep their addresses, MACs and
names.`,
		Example:           `  patchbay restart -t 5 web`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runRestart(ctx, api.Containers, f, args, timeout)
		}),
	}
	timeout.Bind(f, c)
	return c
}

type restarter interface {
	Restart(context.Context, *apiserverv1.ContainerServiceRestartRequest) (*apiserverv1.ContainerServiceRestartResponse, error)
}

func runRestart(ctx context.Context, api restarter, f *frame.Frame, names []string, timeout frame.TimeoutFlag) error {
	return frame.ForEachName(ctx, f.Stdout, names, func(ctx context.Context, name string) error {
		started, err := api.Restart(ctx, &apiserverv1.ContainerServiceRestartRequest{Name: name, Timeout: timeout.Proto()})
		frame.Warn(f.Stderr, started.GetWarnings())
		return err
	})
}
