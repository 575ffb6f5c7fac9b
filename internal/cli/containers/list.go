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
	found := answer.GetContainers()
	if o.Whole() {
		containers, err := frame.EachFallible(found, apiwire.ContainerFromProto)
		if err != nil {
			return err
		}
		return output.JSONList(out, containers)
	}
	return frame.List[*apiserverv1.Container]{
		Items: found,
		Quiet: func(c *apiserverv1.Container) string { return c.GetMetadata().GetId() },
		Table: func() *output.Table {
			name(ctx, api.networks, found)
			return containerTable(found, time.Now(), o.NoTrunc)
		},
	}.Show(out, o.ListOptions)
}

// name puts names in the place of the ids of networks that containers are
// configured for, where those are all there is to show. An id whose name cannot
// be learned stays.
func name(ctx context.Context, api networkNamer, containers []*apiserverv1.Container) {
	idle := func(c *apiserverv1.Container) bool {
		return len(c.GetStatus().GetAttachments()) == 0 && len(c.GetConfiguration().GetNetworks()) > 0
	}
	if !slices.ContainsFunc(containers, idle) {
		return
	}
	answer, err := api.List(ctx, &apiserverv1.NetworkServiceListRequest{})
	if err != nil {
		return
	}
	names := map[string]string{}
	for _, n := range answer.GetNetworks() {
		names[n.GetMetadata().GetId()] = n.GetMetadata().GetName()
	}
	for _, c := range containers {
		for _, n := range c.GetConfiguration().GetNetworks() {
			n.Network = cmp.Or(names[n.GetNetwork()], n.GetNetwork())
		}
	}
}
