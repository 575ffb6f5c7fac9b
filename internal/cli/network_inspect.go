package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/resource"
)

func newNetworkInspect(f *frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "inspect [FLAGS] NAME...",
		Short: "Show all about networks, and what is plugged into them",
		Example: `  patchbay network inspect web
  patchbay network inspect web db --format table`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completeNetworks(0),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return inspection[resource.Network]{
				get: func(ctx context.Context, name string) (resource.Network, error) {
					return getNetwork(ctx, api.Networks, name)
				},
				table: func(ns []resource.Network) *output.Table { return networkTable(ns, time.Now(), true) },
			}.run(c.Context(), f.stdout, args, format)
		},
	}
	f.formatFlag(c, &format, output.FormatJSON)
	return c
}
