package images

import (
	"fmt"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/pull"
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
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			image, err := pull.Image(c.Context(), api.Images,
				&apiserverv1.ImageServicePullRequest{Reference: args[0], Platform: platform}, f.Progress(quiet))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f.Stdout, image.GetConfiguration().GetDigest())
			return err
		},
	}
	c.Flags().Var(frame.Checked(f, &platform, "string", pull.ParsePlatform), "platform", "like linux/arm64 (default: the host's)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return c
}
