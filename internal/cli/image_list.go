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

func newImageList(f *frame) *cobra.Command {
	c := imageListCommand(f)
	c.Use, c.Aliases = "list [FLAGS]", []string{"ls"}
	return c
}

// newImages is image list at the top.
func newImages(f *frame) *cobra.Command {
	c := imageListCommand(f)
	c.Use = "images [FLAGS]"
	return c
}

func imageListCommand(f *frame) *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Short: "List images",
		Example: `  patchbay image list
  patchbay image list --format json`,
		Args: f.exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runImageList(c.Context(), api.Images, f.stdout, o)
		},
	}
	o.bind(f, c, "digests")
	return c
}

type imageLister interface {
	List(context.Context, *apiserverv1.ImageServiceListRequest) (*apiserverv1.ImageServiceListResponse, error)
}

func runImageList(ctx context.Context, api imageLister, out io.Writer, o listOptions) error {
	answer, err := api.List(ctx, &apiserverv1.ImageServiceListRequest{})
	if err != nil {
		return err
	}
	images := make([]resource.Image, 0, len(answer.GetImages()))
	for _, i := range answer.GetImages() {
		images = append(images, wire.ImageFromProto(i))
	}
	return list[resource.Image]{
		items: images,
		quiet: func(i resource.Image) string { return i.Configuration.Digest },
		table: imageTable(images, time.Now(), o.noTrunc),
	}.show(out, o)
}
