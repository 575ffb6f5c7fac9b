package cli

import (
	"context"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/output"
)

func newPluginInspect(f *frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:               "inspect [FLAGS] NAME...",
		Short:             "Show all about plugins, and their running processes",
		Example:           `  patchbay plugin inspect bridge`,
		Args:              f.atLeast(1, "a NAME"),
		ValidArgsFunction: f.completePlugins(""),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return inspection[pluginView]{
				get: func(ctx context.Context, name string) (pluginView, error) {
					answer, err := api.Plugins.Get(ctx, &apiserverv1.PluginServiceGetRequest{Name: name})
					return viewPlugin(answer.GetPlugin()), err
				},
				table: func(ps []pluginView) *output.Table { return pluginTable(ps, true) },
			}.run(c.Context(), f.stdout, args, format)
		},
	}
	f.formatFlag(c, &format, output.FormatJSON)
	return c
}
