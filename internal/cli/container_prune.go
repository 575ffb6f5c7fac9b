package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
)

func newContainerPrune(f *frame) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "prune [FLAGS]",
		Short:   "Delete all containers that are not running",
		Example: `  patchbay container prune --force`,
		Args:    f.exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			if !f.confirm("Delete all containers that are not running?", force) {
				return nil
			}
			return runContainerPrune(c.Context(), api.Containers, f.stdout)
		},
	}
	bindForcePrune(c, &force)
	return c
}

type containerPruner interface {
	containerLister
	deleter
}

func runContainerPrune(ctx context.Context, api containerPruner, out io.Writer) error {
	answer, err := api.List(ctx, &apiserverv1.ContainerServiceListRequest{All: true})
	if err != nil {
		return err
	}
	var names []string
	for _, c := range answer.GetContainers() {
		switch c.GetStatus().GetState() {
		case apiserverv1.ContainerState_CONTAINER_STATE_CREATED, apiserverv1.ContainerState_CONTAINER_STATE_STOPPED:
			names = append(names, c.GetMetadata().GetName())
		}
	}
	return forEachName(ctx, out, names, func(ctx context.Context, name string) error {
		return ignoreNotFound(deleteContainer(ctx, api, name, false))
	})
}
