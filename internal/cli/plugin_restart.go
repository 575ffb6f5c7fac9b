package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
)

func newPluginRestart(f *frame) *cobra.Command {
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
		ValidArgsFunction: f.completePlugins("network"),
		Args: func(c *cobra.Command, args []string) error {
			if network != "" {
				return f.exactly(0, "no NAME beside --network")(c, args)
			}
			return f.exactly(1, "a NAME or --network")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			r := &apiserverv1.PluginServiceRestartRequest{Network: network}
			if len(args) > 0 {
				r.Name = args[0]
			}
			return runPluginRestart(c.Context(), api.Plugins, f.stdout, f.stderr, r)
		},
	}
	c.Flags().StringVar(&network, "network", "", "restart the plugin process of this network alone")
	completeWith(c, "network", f.completeNetworks(1))
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
