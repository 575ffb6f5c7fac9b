package containers

import (
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

type containerListOptions struct {
	frame.ListOptions
	all bool
}

// NewList returns the command "list".
func NewList(f *frame.Frame) *cobra.Command {
	var o containerListOptions
	c := &cobra.Command{
		Use:     "list [FLAGS]",
		Aliases: []string{"ls", "ps"},
		Short:   "List containers",
		Example: `  patchbay list
  patchbay list -a --format json
  patchbay delete $(patchbay list -aq)`,
		Args: f.Exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return runList(c.Context(), listClients{containers: api.Containers, networks: api.Networks}, f.Stdout, o)
		},
	}
	o.Bind(f, c, "ids")
	c.Flags().BoolVarP(&o.all, "all", "a", false, "show those too that are not running")
	return c
}

type containerLister interface {
	List(context.Context, *apiserverv1.ContainerServiceListRequest) (*apiserverv1.ContainerServiceListResponse, error)
}

type networkNamer interface {
	List(context.Context, *apiserverv1.NetworkServiceListRequest) (*apiserverv1.NetworkServiceListResponse, error)
}

type listClients struct {
	containers containerLister
	networks   networkNamer
}

func runList(ctx context.Context, api listClients, out io.Writer, o containerListOptions) error {
	answer, err := api.containers.List(ctx, &apiserverv1.ContainerServiceListRequest{All: o.all, Brief: !o.Whole()})
	if err != nil {
		return err
	}
	containers, err := frame.EachFallible(answer.GetContainers(), apiwire.ContainerFromProto)
	if err != nil {
		return err
	}
	return frame.List[resource.Container]{
		Items: containers,
		Quiet: func(c resource.Container) string { return c.ID },
		Table: func() *output.Table {
			return containerTable(named(ctx, api.networks, containers), time.Now(), o.NoTrunc)
		},
	}.Show(out, o.ListOptions)
}

// named puts names in the place of the ids of networks that containers are
// configured for, where those are all there is to show. An id whose name cannot
// be learned stays.
func named(ctx context.Context, api networkNamer, containers []resource.Container) []resource.Container {
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
