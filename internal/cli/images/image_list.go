package images

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

func newImageList(f *frame.Frame) *cobra.Command {
	c := imageListCommand(f)
	c.Use, c.Aliases = "list [FLAGS]", []string{"ls"}
	return c
}

// NewList is image list at the top.
func NewList(f *frame.Frame) *cobra.Command {
	c := imageListCommand(f)
	c.Use = "images [FLAGS]"
	return c
}

func imageListCommand(f *frame.Frame) *cobra.Command {
	var o frame.ListOptions
	c := &cobra.Command{
		Short: "List images",
		Example: `  patchbay image list
  patchbay image list --format json`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runImageList(ctx, api.Images, f.Stdout, o)
		}),
	}
	o.Bind(f, c, "digests")
	return c
}

type imageLister interface {
	List(context.Context, *apiserverv1.ImageServiceListRequest) (*apiserverv1.ImageServiceListResponse, error)
}

func runImageList(ctx context.Context, api imageLister, out io.Writer, o frame.ListOptions) error {
	answer, err := api.List(ctx, &apiserverv1.ImageServiceListRequest{})
	if err != nil {
		return err
	}
	images := make([]resource.Image, 0, len(answer.GetImages()))
	for _, i := range answer.GetImages() {
		images = append(images, apiwire.ImageFromProto(i))
	}
	return frame.List[resource.Image]{
		Items: images,
		Quiet: func(i resource.Image) string { return i.Configuration.Digest },
		Table: func() *output.Table { return imageTable(images, time.Now(), o.NoTrunc) },
	}.Show(out, o)
}
