package networks

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/networkfile"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/resource"
)

type networkExportOptions struct {
	json, chosen bool
}

func newNetworkExport(f *frame.Frame) *cobra.Command {
	var o networkExportOptions
	c := &cobra.Command{
		Use:   "export [FLAGS] NAME...",
		Short: "Write networks as a file to create them from",
		Long: `Write networks in the form that "patchbay network create --file" takes. It holds
what was asked for; with --chosen, also the subnets and the MTU that the plugin
chose, for networks that are to be the same elsewhere.`,
		Example: `  patchbay network export web db >networks.toml
  patchbay network export --chosen --json web >web.json`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompleteNetworks(0),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return runNetworkExport(ctx, api.Networks, f.Stdout, args, o)
		}),
	}
	c.Flags().BoolVar(&o.json, "json", false, "write JSON instead of TOML")
	c.Flags().BoolVar(&o.chosen, "chosen", false, "write the subnets and the MTU that were chosen too")
	return c
}

// runNetworkExport writes all of the networks, or nothing.
func runNetworkExport(ctx context.Context, api networkGetter, out io.Writer, names []string, o networkExportOptions) error {
	var networks []networkfile.Network
	var faults []error
	for _, name := range names {
		n, err := getNetwork(ctx, api, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		networks = append(networks, exported(n.Network, o.chosen))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return networkfile.Write(out, o.json, networks)
}

func exported(n resource.Network, chosen bool) networkfile.Network {
	c := n.Configuration
	if chosen {
		c.IPv4Subnet, c.IPv6Subnet, c.MTU = n.Status.IPv4Subnet, n.Status.IPv6Subnet, n.Status.MTU
	}
	return networkfile.Network{Name: n.Name, Labels: n.Labels, Configuration: c}
}
