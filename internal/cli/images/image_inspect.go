package images

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/resource"
)

func newImageInspect(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:               "inspect [FLAGS] NAME...",
		Short:             "Show all about images",
		Example:           `  patchbay image inspect debian`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteImages(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return frame.Inspection[resource.Image]{
				Get: func(ctx context.Context, name string) (resource.Image, error) {
					return getImage(ctx, api.Images, name)
				},
				Table: func(is []resource.Image) *output.Table { return imageTable(is, time.Now(), true) },
			}.Run(ctx, f.Stdout, args, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatJSON)
	return c
}
