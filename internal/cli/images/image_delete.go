package images

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newImageDelete(f *frame.Frame) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "delete [FLAGS] NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete references, and images with their last one",
		Example: `  patchbay image delete app:1 app:2`,

		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteImages(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runImageDelete(ctx, api.Images, f.Stdout, args, force)
		}),
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "even if containers use them")
	return c
}

type imageDeleter interface {
	Delete(context.Context, *apiserverv1.ImageServiceDeleteRequest) (*apiserverv1.ImageServiceDeleteResponse, error)
}

// runImageDelete goes one by one: what the last reference is depends on the
// order.
func runImageDelete(ctx context.Context, api imageDeleter, out io.Writer, names []string, force bool) error {
	var errs []error
	for _, name := range names {
		answer, err := api.Delete(ctx, &apiserverv1.ImageServiceDeleteRequest{Name: name, Force: force})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, r := range answer.GetUntagged() {
			errs = append(errs, frame.Lines(out, []string{"untagged " + r}))
		}
		for _, d := range answer.GetDeleted() {
			errs = append(errs, frame.Lines(out, []string{"deleted " + d}))
		}
	}
	return errors.Join(errs...)
}
