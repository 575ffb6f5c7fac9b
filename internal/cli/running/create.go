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
			created, err := createContainer(c.Context(), f, creation{
				containers: api.Containers, images: api.Images, request: request, pull: o.pull, platform: o.platform,
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(f.Stdout, created.GetMetadata().GetId())
			return err
		},
	}
	o.bind(f, c)
	f.Check(c, func() { o.request(f, c, nil) })
	return c
}

type creator interface {
	Create(context.Context, *apiserverv1.ContainerServiceCreateRequest) (*apiserverv1.ContainerServiceCreateResponse, error)
}

// creation is what makes a container.
type creation struct {
	containers creator
	images     pull.Source
	request    *apiserverv1.ContainerServiceCreateRequest
	pull       pull.Policy
	platform   string
}

// createContainer pulls the image as the policy says and creates the container.
// The usual case, that the image is there, takes a single call.
func createContainer(ctx context.Context, f *frame.Frame, c creation) (*apiserverv1.Container, error) {
	image := c.request.GetTemplate().GetImage()
	fetch := func() error {
		_, err := pull.Image(ctx, c.images, &apiserverv1.ImageServicePullRequest{Reference: image, Platform: c.platform}, f.Progress(false))
		return err
	}
	if c.pull == pull.Always {
		if err := fetch(); err != nil {
			return nil, err
		}
	}
	answer, err := c.containers.Create(ctx, c.request)
	if errdefs.IsNotFound(err) && c.pull == pull.Missing && missing(ctx, c.images, image) {
		fmt.Fprintf(f.Stderr, "image %s: is not here, pulling it\n", image)
		if err := fetch(); err != nil {
			return nil, err
		}
		answer, err = c.containers.Create(ctx, c.request)
	}
	if err != nil {
		return nil, err
	}
	frame.Warn(f.Stderr, answer.GetWarnings())
	return answer.GetContainer(), nil
}

// missing reports whether it was the image that was not found.
func missing(ctx context.Context, images pull.Source, name string) bool {
	_, err := images.Get(ctx, &apiserverv1.ImageServiceGetRequest{Name: name})
	return errdefs.IsNotFound(err)
}
