package running

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/pull"
)

// NewCreate returns the command "create".
func NewCreate(f *frame.Frame) *cobra.Command {
	var o containerFlags
	c := &cobra.Command{
		Use:   "create [FLAGS] IMAGE [COMMAND [ARG...]]",
		Short: "Create a container without starting it",
		Long: `Create a container without starting it, and show its id. An image that is not
there is pulled. Static addresses are reserved from now on.`,
		Example: `  patchbay create --name db --network db,ip=10.7.0.5 postgres
  patchbay start db`,
		Args: f.AtLeast(1, "an IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			request := o.request(f, c, args)
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			image := wantedImage{images: api.Images, name: request.GetTemplate().GetImage(), pull: o.pull, platform: o.platform}
			created, err := withImage(c.Context(), f, image, func(ctx context.Context) (*apiserverv1.ContainerServiceCreateResponse, error) {
				return api.Containers.Create(ctx, request)
			})
			if err != nil {
				return err
			}
			frame.Warn(f.Stderr, created.GetWarnings())
			_, err = fmt.Fprintln(f.Stdout, created.GetContainer().GetMetadata().GetId())
			return err
		},
	}
	o.bind(f, c)
	f.Check(c, func() { o.request(f, c, nil) })
	return c
}

// wantedImage is the image that a container is made from.
type wantedImage struct {
	images   pull.Source
	name     string
	pull     pull.Policy
	platform string
}

// withImage pulls the image as the policy says and makes the call that needs it.
// The usual case, that the image is there and no platform is asked for, takes that
// call alone.
func withImage[T any](ctx context.Context, f *frame.Frame, i wantedImage, call func(context.Context) (T, error)) (answer T, err error) {
	fetch := func() error {
		_, err := pull.Image(ctx, i.images, &apiserverv1.ImageServicePullRequest{Reference: i.name, Platform: i.platform}, f.Progress(false))
		return err
	}
	other, err := i.ofAnotherPlatform(ctx)
	if err != nil {
		return answer, err
	}
	if other != "" {
		fmt.Fprintf(f.Stderr, "image %s: is here for %s, pulling it for %s\n", i.name, other, i.platform)
	}
	if i.pull == pull.Always || other != "" {
		if err := fetch(); err != nil {
			return answer, err
		}
	}
	answer, err = call(ctx)
	if errdefs.IsNotFound(err) && i.pull == pull.Missing && missing(ctx, i.images, i.name) {
		fmt.Fprintf(f.Stderr, "image %s: is not here, pulling it\n", i.name)
		if err := fetch(); err != nil {
			return answer, err
		}
		answer, err = call(ctx)
	}
	return answer, err
}

// ofAnotherPlatform returns the platform of the image that is there, if it is not
// the one that is asked for and the policy is to pull what is missing: the image
// is, for that platform. Where nothing may be pulled it is an error.
func (i wantedImage) ofAnotherPlatform(ctx context.Context) (string, error) {
	if i.platform == "" || i.pull == pull.Always {
		return "", nil
	}
	found, err := i.images.Get(ctx, &apiserverv1.ImageServiceGetRequest{Name: i.name})
	if errdefs.IsNotFound(err) {
		return "", nil // the call says so, or it is pulled
	}
	if err != nil {
		return "", err
	}
	have := found.GetImage().GetConfiguration().GetPlatform()
	if pull.Fits(have, i.platform) {
		return "", nil
	}
	if i.pull == pull.Never {
		return "", fmt.Errorf("image %s: is for %s, not for %s: %w", i.name, have, i.platform, errdefs.ErrNotFound)
	}
	return have, nil
}

// missing reports whether it was the image that was not found.
func missing(ctx context.Context, images pull.Source, name string) bool {
	_, err := images.Get(ctx, &apiserverv1.ImageServiceGetRequest{Name: name})
	return errdefs.IsNotFound(err)
}
