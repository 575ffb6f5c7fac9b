package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/resource"
)

func newImageInspect(f *frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:               "inspect [FLAGS] NAME...",
		Short:             "Show all about images",
		Example:           `  patchbay image inspect debian`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completeImages(0),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return inspection[resource.Image]{
				get: func(ctx context.Context, name string) (resource.Image, error) {
					return getImage(ctx, api.Images, name)
				},
				table: func(is []resource.Image) *output.Table { return imageTable(is, time.Now(), true) },
			}.run(c.Context(), f.stdout, args, format)
		},
	}
	f.formatFlag(c, &format, output.FormatJSON)
	return c
}
