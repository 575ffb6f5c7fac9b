package pull

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/api/patchbay/apiserver/v1/apiserverv1connect"
	"patchbay.dev/patchbay/internal/cli/progress"
)

// Policy says when run and create pull their image.
type Policy string

// The policies.
const (
	Missing Policy = "missing"
	Always  Policy = "always"
	Never   Policy = "never"
)

// ParsePolicy parses the value of --pull.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case Missing, Always, Never:
		return p, nil
	}
	return "", fmt.Errorf("pull %q: want missing, always or never", s)
}

// Getter looks an image up.
type Getter interface {
	Get(context.Context, *apiserverv1.ImageServiceGetRequest) (*apiserverv1.ImageServiceGetResponse, error)
}

// Source has images and fetches others.
type Source interface {
	Getter
	Pull(context.Context, *apiserverv1.ImageServicePullRequest) (apiserverv1connect.ImageServicePullClientStream, error)
}

// Image fetches an image, shows how that goes, and closes the display.
func Image(ctx context.Context, api Source, request *apiserverv1.ImageServicePullRequest, p *progress.Display) (*apiserverv1.Image, error) {
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
		Show(p, message.GetProgress())
		if message.GetImage() != nil {
			image = message.GetImage()
		}
	}
}

// Show shows a step of a transfer; nil is none.
func Show(p *progress.Display, step *apiserverv1.Progress) {
	if step != nil {
		p.Show(progress.Step{ID: step.GetId(), Name: step.GetStep(), Current: step.GetCurrent(), Total: step.GetTotal()})
	}
}
