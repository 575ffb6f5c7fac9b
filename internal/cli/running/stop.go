package running

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewStop returns the command "stop".
func NewStop(f *frame.Frame) *cobra.Command {
	var timeout frame.TimeoutFlag
	c := &cobra.Command{
		Use:   "stop [FLAGS] NAME...",
		Short: "Ask containers to end, and kill those that do not",
		Long: `Send each container its stop signal and, after the timeout, SIGKILL. A container
that is not running is not an error.`,
		Example: `  patchbay stop web
  patchbay stop -t 1 web db`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runStop(ctx, api.Containers, f.Stdout, args, timeout)
		}),
	}
	timeout.Bind(f, c)
	return c
}

type stopper interface {
	Stop(context.Context, *apiserverv1.ContainerServiceStopRequest) (*apiserverv1.ContainerServiceStopResponse, error)
}

func runStop(ctx context.Context, api stopper, out io.Writer, names []string, timeout frame.TimeoutFlag) error {
	return frame.ForEachName(ctx, out, names, func(ctx context.Context, name string) error {
		_, err := api.Stop(ctx, &apiserverv1.ContainerServiceStopRequest{Name: name, Timeout: timeout.Proto()})
		return err
	})
}
