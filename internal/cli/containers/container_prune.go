package containers

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// NewPrune returns the command "container prune".
func NewPrune(f *frame.Frame) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "prune [FLAGS]",
		Short:   "Delete all containers that are not running",
		Example: `  patchbay container prune --force`,
		Args:    f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			if !f.Confirm("Delete all containers that are not running?", force) {
				return nil
			}
			return runContainerPrune(ctx, api.Containers, f.Stdout)
		}),
	}
	frame.BindForcePrune(c, &force)
	return c
}

type containerPruner interface {
	containerLister
	Deleter
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
	return frame.ForEachName(ctx, out, names, func(ctx context.Context, name string) error {
		return IgnoreNotFound(Delete(ctx, api, name, false))
	})
}
