package containers

import (
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
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
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runList(ctx, listClients{containers: api.Containers, networks: api.Networks}, f.Stdout, o)
		}),
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
	answer, err := api.containers.List(apiclient.InPieces(ctx), &apiserverv1.ContainerServiceListRequest{All: o.all, Brief: !o.Whole()})
	if err != nil {
		return err
	}
	table := newContainerTable(time.Now(), o.NoTrunc)
	names := networkNames(ctx, api.networks)
	return frame.Sequence[*apiserverv1.Container]{
		Items: frame.EachPart(message.Parts(answer), (*apiserverv1.ContainerServiceListResponse).GetContainers),
		Whole: func(one *apiserverv1.Container) (any, error) {
			c, err := apiwire.ContainerFromProto(one)
			return &c, err
		},
		Quiet: func(c *apiserverv1.Container) string { return c.GetMetadata().GetId() },
		Table: table.Table,
		Row: func(c *apiserverv1.Container) error {
			name(c, names)
			table.addContainer(c)
			return nil
		},
	}.Show(out, o.ListOptions)
}

// name puts names in the place of the ids of networks that a container is configured for, where
// those are all there is to show. An id whose name cannot be learned stays.
func name(c *apiserverv1.Container, names func() map[string]string) {
	if len(c.GetStatus().GetAttachments()) > 0 {
		return
	}
	for _, n := range c.GetConfiguration().GetNetworks() {
		n.Network = cmp.Or(names()[n.GetNetwork()], n.GetNetwork())
	}
}

// networkNames returns what asks for the names of networks, by their ids, when they are first wanted.
func networkNames(ctx context.Context, api networkNamer) func() map[string]string {
	return sync.OnceValue(func() map[string]string {
		names := map[string]string{}
		answer, err := api.List(ctx, &apiserverv1.NetworkServiceListRequest{})
		if err != nil {
			return names
		}
		for _, n := range answer.GetNetworks() {
			names[n.GetMetadata().GetId()] = n.GetMetadata().GetName()
		}
		return names
	})
}
