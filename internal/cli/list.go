package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

type containerListOptions struct {
	listOptions
	all bool
}

func newList(f *frame) *cobra.Command {
	var o containerListOptions
	c := &cobra.Command{
		Use:     "list [FLAGS]",
		Aliases: []string{"ls", "ps"},
		Short:   "List containers",
		Example: `  patchbay list
  patchbay list -a --format json
  patchbay delete $(patchbay list -aq)`,
		Args: f.exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runList(c.Context(), api.Containers, f.stdout, o)
		},
	}
	o.bind(f, c, "ids")
	c.Flags().BoolVarP(&o.all, "all", "a", false, "show those too that are not running")
	return c
}

type containerLister interface {
	List(context.Context, *apiserverv1.ContainerServiceListRequest) (*apiserverv1.ContainerServiceListResponse, error)
}

func runList(ctx context.Context, api containerLister, out io.Writer, o containerListOptions) error {
	answer, err := api.List(ctx, &apiserverv1.ContainerServiceListRequest{All: o.all})
	if err != nil {
		return err
	}
	containers, err := eachFallible(answer.GetContainers(), wire.ContainerFromProto)
	if err != nil {
		return err
	}
	return list[resource.Container]{
		items: containers,
		quiet: func(c resource.Container) string { return c.ID },
		table: containerTable(containers, time.Now(), o.noTrunc),
	}.show(out, o.listOptions)
}
