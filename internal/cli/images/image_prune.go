package images

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newImagePrune(f *frame.Frame) *cobra.Command {
	var all, force bool
	c := &cobra.Command{
		Use:   "prune [FLAGS]",
		Short: "Delete images that have no reference",
		Example: `  patchbay image prune
  patchbay image prune --all --force`,
		Args: f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			question := "Delete all images that have no reference?"
			if all {
				question = "Delete all images that no container uses?"
			}
			if !f.Confirm(question, force) {
				return nil
			}
			return runImagePrune(ctx, api.Images, f.Stdout, f.Stderr, all)
		}),
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "those too that have a reference, if no container uses them")
	frame.BindForcePrune(c, &force)
	return c
}

type imagePruner interface {
	Prune(context.Context, *apiserverv1.ImageServicePruneRequest) (*apiserverv1.ImageServicePruneResponse, error)
}

func runImagePrune(ctx context.Context, api imagePruner, out, notes io.Writer, all bool) error {
	answer, err := api.Prune(ctx, &apiserverv1.ImageServicePruneRequest{All: all})
	if err != nil {
		return err
	}
	fmt.Fprintf(notes, "%s reclaimed\n", output.Size(answer.GetReclaimedBytes()))
	return frame.Lines(out, answer.GetDeleted())
}
