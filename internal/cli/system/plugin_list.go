package system

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/output"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

func newPluginList(f *frame.Frame) *cobra.Command {
	var o frame.ListOptions
	c := &cobra.Command{
		Use:   "list [FLAGS]",
		Short: "List the plugins in the plugin directories",
		Long: `List the plugins in the plugin directories as they are now, those too that cannot
be used, and why.`,
		Aliases: []string{"ls"},
		Example: `  patchbay plugin list`,
		Args:    f.Exactly(0, "no arguments"),
		RunE: f.Calling(func(ctx context.Context, api *apiclient.Client, _ []string) error {
			return runPluginList(ctx, api.Plugins, f.Stdout, o)
		}),
	}
	o.Bind(f, c, "names")
	return c
}

type pluginLister interface {
	List(context.Context, *apiserverv1.PluginServiceListRequest) (*apiserverv1.PluginServiceListResponse, error)
}

func runPluginList(ctx context.Context, api pluginLister, out io.Writer, o frame.ListOptions) error {
	answer, err := api.List(ctx, &apiserverv1.PluginServiceListRequest{})
	if err != nil {
		return err
	}
	var plugins []pluginView
	for _, p := range answer.GetPlugins() {
		plugins = append(plugins, viewPlugin(p))
	}
	return frame.List[pluginView]{
		Items: plugins,
		Quiet: func(p pluginView) string { return p.Name },
		Table: func() *output.Table { return pluginTable(plugins, o.NoTrunc) },
	}.Show(out, o)
}
