package system

import (
	"context"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
)

func newPluginInspect(f *frame.Frame) *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:               "inspect [FLAGS] NAME...",
		Short:             "Show all about plugins, and their running processes",
		Example:           `  patchbay plugin inspect bridge`,
		Args:              f.AtLeast(1, "a NAME"),
		ValidArgsFunction: f.CompletePlugins(""),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := f.Dial(c.Context())
			if err != nil {
				return err
			}
			defer api.Close()
			return frame.Inspection[pluginView]{
				Get: func(ctx context.Context, name string) (pluginView, error) {
					answer, err := api.Plugins.Get(ctx, &apiserverv1.PluginServiceGetRequest{Name: name})
					return viewPlugin(answer.GetPlugin()), err
				},
				Table: func(ps []pluginView) *output.Table { return pluginTable(ps, true) },
			}.Run(c.Context(), f.Stdout, args, format)
		},
	}
	f.FormatFlag(c, &format, output.FormatJSON)
	return c
}
