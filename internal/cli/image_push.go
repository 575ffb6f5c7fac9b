package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/progress"
)

func newImagePush(f *frame) *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "push [FLAGS] REFERENCE [DESTINATION]",
		Short: "Send an image to a registry",
		Long:  `Send an image to the registry of its reference, or of another, and show its digest.`,
		Example: `  patchbay push registry.example.com/team/app:1
  patchbay push app registry.example.com/team/app:2`,
		Args:              f.between(1, 2, "a REFERENCE and at most a DESTINATION"),
		ValidArgsFunction: f.completeImages(1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			request := &apiserverv1.ImageServicePushRequest{Reference: args[0]}
			if len(args) == 2 {
				request.Destination = args[1]
			}
			return runImagePush(c.Context(), api.Images, f.stdout, request, f.progress(quiet))
		},
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
	return lines(out, []string{digest})
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
		show(p, message.GetProgress())
		if message.GetDigest() != "" {
			digest = message.GetDigest()
		}
	}
}
