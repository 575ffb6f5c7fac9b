package system

import (
	"context"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newPluginInspect(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:               "inspect [FLAGS] NAME...",
		Short:             "Show all about plugins, and their running processes",
		Example:           `  patchbay plugin inspect bridge`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompletePlugins(""),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, args []string) error {
			return frame.Inspection[pluginView]{
				Get: func(ctx context.Context, name string) (pluginView, error) {
					answer, err := api.Plugins.Get(ctx, &apiserverv1.PluginServiceGetRequest{Name: name})
					return viewPlugin(answer.GetPlugin()), err
				},
				Table: func(ps []pluginView) *output.Table { return pluginTable(ps, true) },
			}.Run(ctx, f.Stdout, args, format)
		}),
	}
	f.FormatFlag(c, &format, output.FormatJSON)
	return c
}
