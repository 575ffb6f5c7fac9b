package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

func newNetworkList(f *frame) *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Use:     "list [FLAGS]",
		Aliases: []string{"ls"},
		Short:   "List networks",
		Example: `  patchbay network list
  patchbay network list --format json`,
		Args: f.exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runNetworkList(c.Context(), api.Networks, f.stdout, o)
		},
	}
	o.bind(f, c, "names")
	return c
}

type networkLister interface {
	List(context.Context, *apiserverv1.NetworkServiceListRequest) (*apiserverv1.NetworkServiceListResponse, error)
}

func runNetworkList(ctx context.Context, api networkLister, out io.Writer, o listOptions) error {
	answer, err := api.List(ctx, &apiserverv1.NetworkServiceListRequest{})
	if err != nil {
		return err
	}
	networks, err := eachFallible(answer.GetNetworks(), wire.NetworkFromProto)
	if err != nil {
		return err
	}
	return list[resource.Network]{
		items: networks,
		quiet: func(n resource.Network) string { return n.Name },
		table: networkTable(networks, time.Now(), o.noTrunc),
	}.show(out, o)
}
