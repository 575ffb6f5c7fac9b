package networks

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newNetworkDelete(f *frame.Frame) *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete networks that no container is configured for",
		Example: `  patchbay network delete web db`,

		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteNetworks(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runNetworkDelete(ctx, api.Networks, f.Stdout, args)
		}),
	}
}

type networkDeleter interface {
	Delete(context.Context, *apiserverv1.NetworkServiceDeleteRequest) (*apiserverv1.NetworkServiceDeleteResponse, error)
}

func runNetworkDelete(ctx context.Context, api networkDeleter, out io.Writer, names []string) error {
	return frame.ForEachName(ctx, out, names, func(ctx context.Context, name string) error {
		_, err := api.Delete(ctx, &apiserverv1.NetworkServiceDeleteRequest{Name: name})
		return err
	})
}
