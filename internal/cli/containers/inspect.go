package containers

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// NewInspect returns the command "inspect".
func NewInspect(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "inspect [FLAGS] NAME...",
		Short: "Show all about containers",
		Example: `  patchbay inspect web
  patchbay inspect web | jq -r '.[].status.attachments[].ipv4Address'`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return frame.Inspection[resource.Container]{
				Get: func(ctx context.Context, name string) (resource.Container, error) {
					return Get(ctx, api.Containers, name)
				},
				Table: func(cs []resource.Container) *output.Table {
					table, names := newContainerTable(time.Now(), true), networkNames(ctx, api.Networks)
					for _, shown := range field.Each(cs, apiwire.ContainerToProto) {
						name(shown, names)
						table.addContainer(shown)
					}
					return table.Table
				},
			}.Run(ctx, f.Stdout, args, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatJSON)
	return c
}
