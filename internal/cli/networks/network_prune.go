package networks

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newNetworkPrune(f *frame.Frame) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "prune [FLAGS]",
		Short:   "Delete all networks that no container is configured for",
		Example: `  patchbay network prune --force`,
		Args:    f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			if !f.Confirm("Delete all networks that no container is configured for?", force) {
				return nil
			}
			return runNetworkPrune(ctx, api.Networks, f.Stdout)
		}),
	}
	frame.BindForcePrune(c, &force)
	return c
}

type networkPruner interface {
	Prune(context.Context, *apiserverv1.NetworkServicePruneRequest) (*apiserverv1.NetworkServicePruneResponse, error)
}

func runNetworkPrune(ctx context.Context, api networkPruner, out io.Writer) error {
	answer, err := api.Prune(ctx, &apiserverv1.NetworkServicePruneRequest{})
	if err != nil {
		return err
	}
	return frame.Lines(out, answer.GetDeleted())
}
