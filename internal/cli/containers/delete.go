package containers

import (
	"context"
	"io"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewDelete returns the command "delete".
func NewDelete(f *frame.Frame) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "delete [FLAGS] NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete containers with what they wrote",
		Example: `  patchbay delete web
  patchbay delete -f web db`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteContainers(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runDelete(ctx, api.Containers, f.Stdout, args, force)
		}),
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill those that are running")
	return c
}

// Deleter deletes containers.
type Deleter interface {
	Delete(context.Context, *apiserverv1.ContainerServiceDeleteRequest) (*apiserverv1.ContainerServiceDeleteResponse, error)
}

func runDelete(ctx context.Context, api Deleter, out io.Writer, names []string, force bool) error {
	return frame.ForEachName(ctx, out, names, func(ctx context.Context, name string) error {
		return Delete(ctx, api, name, force)
	})
}

// Delete deletes the container of a name.
func Delete(ctx context.Context, api Deleter, name string, force bool) error {
	_, err := api.Delete(ctx, &apiserverv1.ContainerServiceDeleteRequest{Name: name, Force: force})
	return err
}

// IgnoreNotFound takes what is not there for deleted.
func IgnoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
