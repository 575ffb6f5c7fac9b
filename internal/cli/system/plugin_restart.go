package system

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newPluginRestart(f *frame.Frame) *cobra.Command {
	var network string
	c := &cobra.Command{
		Use:   "restart {NAME | --network NETWORK}",
		Short: "Replace the running processes of a network plugin by what is installed now",
		Long: `End the running processes of a network plugin, or that of one network, and start
the program that is installed now. Containers run on, and nobody gets their
addresses meanwhile. Connections stay open where the kernel carries the packets,
which is the case for all plugins but usermode.

It returns when the networks serve again and prints their names. A program that
does not start is reported in its own words; its network shows as failed, and is
tried again until the program does.`,
		Example: `  patchbay plugin restart bridge
  patchbay plugin restart --network web`,
		ValidArgsFunction: f.CompletePlugins("network"),
		Args: func(c *cobra.Command, args []string) error {
			if network != "" {
				return f.Exactly(0, "no NAME beside --network")(c, args)
			}
			return f.Exactly(1, "a NAME or --network")(c, args)
		},
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			r := &apiserverv1.PluginServiceRestartRequest{Network: network}
			if len(args) > 0 {
				r.Name = args[0]
			}
			return runPluginRestart(ctx, api.Plugins, f.Stdout, f.Stderr, r)
		}),
	}
	c.Flags().StringVar(&network, "network", "", "restart the plugin process of this network alone")
	frame.CompleteWith(c, "network", f.CompleteNetworks(1))
	return c
}

type pluginRestarter interface {
	Restart(context.Context, *apiserverv1.PluginServiceRestartRequest) (*apiserverv1.PluginServiceRestartResponse, error)
}

func runPluginRestart(ctx context.Context, api pluginRestarter, out, notes io.Writer, r *apiserverv1.PluginServiceRestartRequest) error {
	answer, err := api.Restart(ctx, r)
	if err != nil {
		return err
	}
	if len(answer.GetInstances()) == 0 {
		_, err := fmt.Fprintf(notes, "plugin %s serves no network\n", r.GetName())
		return err
	}
	for _, i := range answer.GetInstances() {
		if _, err := fmt.Fprintln(out, i.GetResource()); err != nil {
			return err
		}
	}
	return nil
}
