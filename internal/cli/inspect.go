package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/resource"
)

func newInspect(f *frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "inspect [FLAGS] NAME...",
		Short: "Show all about containers",
		Example: `  patchbay inspect web
  patchbay inspect web | jq -r '.[].status.attachments[].ipv4Address'`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completeContainers(0),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return inspection[resource.Container]{
				get: func(ctx context.Context, name string) (resource.Container, error) {
					return getContainer(ctx, api.Containers, name)
				},
				table: func(cs []resource.Container) *output.Table {
					return containerTable(named(c.Context(), api.Networks, cs), time.Now(), true)
				},
			}.run(c.Context(), f.stdout, args, format)
		},
	}
	f.formatFlag(c, &format, output.FormatJSON)
	return c
}
