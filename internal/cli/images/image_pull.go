package images

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/pull"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewPull returns the command "image pull".
func NewPull(f *frame.Frame) *cobra.Command {
	var platform string
	var quiet bool
	c := &cobra.Command{
		Use:   "pull [FLAGS] REFERENCE",
		Short: "Fetch an image from its registry",
		Long: `Fetch an image from its registry and unpack it, and show its digest. What arrived
before an interruption is not fetched again.`,
		Example: `  patchbay pull debian:12
  patchbay pull --platform linux/arm64 debian`,
		Args: f.Exactly(1, "a REFERENCE"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			image, err := pull.Image(ctx, api.Images,
				&apiserverv1.ImageServicePullRequest{Reference: args[0], Platform: platform}, f.Progress(quiet))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f.Stdout, image.GetConfiguration().GetDigest())
			return err
		}),
	}
	c.Flags().Var(frame.Checked(f, &platform, "string", pull.ParsePlatform), "platform", "like linux/arm64 (default: the host's)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return c
}
