package cli

import (
	"context"
	"io"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
)

func newDelete(f *frame) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "delete [FLAGS] NAME...",
		Aliases: []string{"rm"},
		Short:   "Delete containers with what they wrote",
		Example: `  patchbay delete web
  patchbay delete -f web db`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completeContainers(0),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runDelete(c.Context(), api.Containers, f.stdout, args, force)
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill those that are running")
	return c
}

type deleter interface {
	Delete(context.Context, *apiserverv1.ContainerServiceDeleteRequest) (*apiserverv1.ContainerServiceDeleteResponse, error)
}

func runDelete(ctx context.Context, api deleter, out io.Writer, names []string, force bool) error {
	return forEachName(ctx, out, names, func(ctx context.Context, name string) error {
		return deleteContainer(ctx, api, name, force)
	})
}

func deleteContainer(ctx context.Context, api deleter, name string, force bool) error {
	_, err := api.Delete(ctx, &apiserverv1.ContainerServiceDeleteRequest{Name: name, Force: force})
	return err
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
