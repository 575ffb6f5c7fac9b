package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
)

func newRestart(f *frame) *cobra.Command {
	var timeout timeoutFlag
	c := &cobra.Command{
		Use:   "restart [FLAGS] NAME...",
		Short: "Stop containers if they run, and start them",
		Long: `Stop containers if they run, and start them. They keep their addresses, MACs and
names.`,
		Example:           `  patchbay restart -t 5 web`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completeContainers(0),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runRestart(c.Context(), api.Containers, f.stdout, args, timeout)
		},
	}
	timeout.bind(f, c)
	return c
}

type restarter interface {
	Restart(context.Context, *apiserverv1.ContainerServiceRestartRequest) (*apiserverv1.ContainerServiceRestartResponse, error)
}

func runRestart(ctx context.Context, api restarter, out io.Writer, names []string, timeout timeoutFlag) error {
	return forEachName(ctx, out, names, func(ctx context.Context, name string) error {
		_, err := api.Restart(ctx, &apiserverv1.ContainerServiceRestartRequest{Name: name, Timeout: timeout.proto()})
		return err
	})
}
