package images

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/progress"
	"patchbay.dev/patchbay/internal/cli/pull"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewPush returns the command "image push".
func NewPush(f *frame.Frame) *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "push [FLAGS] REFERENCE [DESTINATION]",
		Short: "Send an image to a registry",
		Long:  `Send an image to the registry of its reference, or of another, and show its digest.`,
		Example: `  patchbay push registry.example.com/team/app:1
  patchbay push app registry.example.com/team/app:2`,
		Args:              f.Between(1, 2, "a REFERENCE and at most a DESTINATION"),
		ValidArgsFunction: f.CompleteImages(1),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			request := &apiserverv1.ImageServicePushRequest{Reference: args[0]}
			if len(args) == 2 {
				request.Destination = args[1]
			}
			return runImagePush(ctx, api.Images, f.Stdout, request, f.Progress(quiet))
		}),
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return c
}

type imagePusher interface {
	Push(context.Context, *apiserverv1.ImageServicePushRequest) (apiserverv1connect.ImageServicePushClientStream, error)
}

func runImagePush(ctx context.Context, api imagePusher, out io.Writer, request *apiserverv1.ImageServicePushRequest, p *progress.Display) error {
	digest, err := pushImage(ctx, api, request, p)
	if err != nil {
		return err
	}
	return frame.Lines(out, []string{digest})
}

func pushImage(ctx context.Context, api imagePusher, request *apiserverv1.ImageServicePushRequest, p *progress.Display) (string, error) {
	defer p.Close()
	stream, err := api.Push(ctx, request)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	var digest string
	for {
		message, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return digest, nil
		}
		if err != nil {
			return "", err
		}
		pull.Show(p, message.GetProgress())
		if message.GetDigest() != "" {
			digest = message.GetDigest()
		}
	}
}
