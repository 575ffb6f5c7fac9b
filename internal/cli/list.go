package cli

import (
	"cmp"
	"context"
	"io"
	"slices"
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
			return runList(c.Context(), listClients{containers: api.Containers, networks: api.Networks}, f.stdout, o)
		},
	}
	o.bind(f, c, "ids")
	c.Flags().BoolVarP(&o.all, "all", "a", false, "show those too that are not running")
	return c
}

type containerLister interface {
	List(context.Context, *apiserverv1.ContainerServiceListRequest) (*apiserverv1.ContainerServiceListResponse, error)
}

type listClients struct {
	containers containerLister
	networks   networkLister
}

func runList(ctx context.Context, api listClients, out io.Writer, o containerListOptions) error {
	answer, err := api.containers.List(ctx, &apiserverv1.ContainerServiceListRequest{All: o.all})
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
		table: containerTable(named(ctx, api.networks, containers), time.Now(), o.noTrunc),
	}.show(out, o.listOptions)
}

// named puts names in the place of the ids of networks that containers are
// configured for, where those are all there is to show. An id whose name cannot
// be learned stays.
func named(ctx context.Context, api networkLister, containers []resource.Container) []resource.Container {
	idle := func(c resource.Container) bool {
		return len(c.Status.Attachments) == 0 && len(c.Configuration.Networks) > 0
	}
	if !slices.ContainsFunc(containers, idle) {
		return containers
	}
	answer, err := api.List(ctx, &apiserverv1.NetworkServiceListRequest{})
	if err != nil {
		return containers
	}
	names := map[string]string{}
	for _, n := range answer.GetNetworks() {
		names[n.GetMetadata().GetId()] = n.GetMetadata().GetName()
	}
	out := slices.Clone(containers)
	for i := range out {
		out[i].Configuration.Networks = slices.Clone(out[i].Configuration.Networks)
		for j, n := range out[i].Configuration.Networks {
			out[i].Configuration.Networks[j].Network = cmp.Or(names[n.Network], n.Network)
		}
	}
	return out
}
