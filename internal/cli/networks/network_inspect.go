package networks

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newNetworkInspect(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "inspect [FLAGS] NAME...",
		Short: "Show all about networks, and what is plugged into them",
		Example: `  patchbay network inspect web
  patchbay network inspect web db --format table`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteNetworks(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runNetworkInspect(ctx, api.Networks, f.Stdout, args, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatJSON)
	return c
}

func runNetworkInspect(ctx context.Context, api networkGetter, out io.Writer, names []string, format output.Format) error {
	return frame.Inspection[foundNetwork]{
		Get:   func(ctx context.Context, name string) (foundNetwork, error) { return getNetwork(ctx, api, name) },
		Whole: foundNetwork.whole,
		Table: func(ns []foundNetwork) *output.Table {
			table := newNetworkTable(time.Now(), true)
			for _, n := range ns {
				table.addNetwork(&n.Network)
			}
			return table.Table
		},
	}.Run(ctx, out, names, format)
}
