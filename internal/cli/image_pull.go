package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/progress"
)

// pullPolicy says when run and create pull their image.
type pullPolicy string

const (
	pullMissing pullPolicy = "missing"
	pullAlways  pullPolicy = "always"
	pullNever   pullPolicy = "never"
)

func parsePullPolicy(s string) (pullPolicy, error) {
	switch p := pullPolicy(s); p {
	case pullMissing, pullAlways, pullNever:
		return p, nil
	}
	return "", fmt.Errorf("pull %q: want missing, always or never", s)
}

func newImagePull(f *frame) *cobra.Command {
	var platform string
	var quiet bool
	c := &cobra.Command{
		Use:   "pull [FLAGS] REFERENCE",
		Short: "Fetch an image from its registry",
		Long: `Fetch an image from its registry and unpack it, and show its digest. What arrived
before an interruption is not fetched again.`,
		Example: `  patchbay pull debian:12
  patchbay pull --platform linux/arm64 debian`,
		Args: f.exactly(1, "a REFERENCE"),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			image, err := pullImage(c.Context(), api.Images,
				&apiserverv1.ImageServicePullRequest{Reference: args[0], Platform: platform}, f.progress(quiet))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f.stdout, image.GetConfiguration().GetDigest())
			return err
		},
	}
	c.Flags().StringVar(&platform, "platform", "", "like linux/arm64 (default: the host's)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return c
}

// progress shows a transfer on standard error.
func (f *frame) progress(quiet bool) *progress.Display {
	if quiet {
		return progress.None()
	}
	return progress.New(f.stderr)
}

type imageSource interface {
	imageGetter
	Pull(context.Context, *apiserverv1.ImageServicePullRequest) (apiserverv1connect.ImageServicePullClientStream, error)
}

func pullImage(ctx context.Context, api imageSource, request *apiserverv1.ImageServicePullRequest, p *progress.Display) (*apiserverv1.Image, error) {
	defer p.Close()
	stream, err := api.Pull(ctx, request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	var image *apiserverv1.Image
	for {
		message, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF) && image == nil:
			return nil, fmt.Errorf("image %s: patchbayd ended the pull without an image: %w", request.GetReference(), errdefs.ErrInternal)
		case errors.Is(err, io.EOF):
			return image, nil
		case err != nil:
			return nil, err
		}
		show(p, message.GetProgress())
		if message.GetImage() != nil {
			image = message.GetImage()
		}
	}
}

func show(p *progress.Display, step *apiserverv1.Progress) {
	if step != nil {
		p.Show(progress.Step{ID: step.GetId(), Name: step.GetStep(), Current: step.GetCurrent(), Total: step.GetTotal()})
	}
}
