package images

import (
	"context"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newImageTag(f *frame.Frame) *cobra.Command {
	return &cobra.Command{
		Use:               "tag NAME REFERENCE",
		Short:             "Give an image a further reference",
		Example:           `  patchbay image tag app:1 registry.example.com/team/app:1`,
		Args:              f.Exactly(2, "a NAME and a REFERENCE"),
		ValidArgsFunction: f.CompleteImages(1),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runImageTag(ctx, api.Images, args[0], args[1])
		}),
	}
}

type imageTagger interface {
	Tag(context.Context, *apiserverv1.ImageServiceTagRequest) (*apiserverv1.ImageServiceTagResponse, error)
}

func runImageTag(ctx context.Context, api imageTagger, name, reference string) error {
	_, err := api.Tag(ctx, &apiserverv1.ImageServiceTagRequest{Name: name, Reference: reference})
	return err
}
