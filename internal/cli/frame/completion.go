package frame

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/client/apiclient"
)

// completionTimeout is how long a shell may wait for names.
const completionTimeout = 500 * time.Millisecond

// ask lists names of patchbayd's, or none when it cannot answer quickly.
func (f *Frame) ask(c *cobra.Command, names func(context.Context, *apiclient.Client) []string) ([]string, cobra.ShellCompDirective) {
	base := c.Context()
	if base == nil {
		base = context.Background()
	}
	ctx, cancel := context.WithTimeout(base, completionTimeout)
	defer cancel()
	f.Faults = nil
	api, err := f.Dial(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer api.Close()
	return names(ctx, api), cobra.ShellCompDirectiveNoFileComp
}

// CompleteNames completes arguments by names, at most n of them; 0 means any
// number. Names that are there already are not offered again.
func (f *Frame) CompleteNames(n int, names func(context.Context, *apiclient.Client) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, directive := f.ask(c, names)
		return slices.DeleteFunc(all, func(name string) bool { return slices.Contains(args, name) }), directive
	}
}

// CompleteEach completes each argument by names of its own.
func (f *Frame) CompleteEach(names ...func(context.Context, *apiclient.Client) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(names) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.ask(c, names[len(args)])
	}
}

// CompleteNetworks is CompleteNames by networks.
func (f *Frame) CompleteNetworks(n int) cobra.CompletionFunc {
	return f.CompleteNames(n, NetworkNames)
}

// CompleteContainers is CompleteNames by containers.
func (f *Frame) CompleteContainers(n int) cobra.CompletionFunc {
	return f.CompleteNames(n, ContainerNames)
}

// CompleteImages is CompleteNames by references of images.
func (f *Frame) CompleteImages(n int) cobra.CompletionFunc {
	return f.CompleteNames(n, imageNames)
}

// CompleteContainerPaths completes the beginning of CONTAINER:PATH, or else a path of
// this machine.
func (f *Frame) CompleteContainerPaths(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) >= 2 || strings.ContainsAny(begun, "/.:") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	names, _ := f.ask(c, ContainerNames)
	for i := range names {
		names[i] += ":"
	}
	return names, cobra.ShellCompDirectiveNoSpace
}

// CompletePlugins completes the names of plugins of a kind, "" for all.
func (f *Frame) CompletePlugins(kind string) cobra.CompletionFunc {
	return f.CompleteNames(0, func(ctx context.Context, api *apiclient.Client) []string {
		answer, err := api.Plugins.List(ctx, &apiserverv1.PluginServiceListRequest{})
		if err != nil {
			return nil
		}
		var out []string
		for _, p := range answer.GetPlugins() {
			if kind == "" || p.GetKind() == kind {
				out = append(out, p.GetName())
			}
		}
		return out
	})
}

// NetworkNames returns the names of all networks.
func NetworkNames(ctx context.Context, api *apiclient.Client) []string {
	answer, err := api.Networks.List(ctx, &apiserverv1.NetworkServiceListRequest{})
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range answer.GetNetworks() {
		out = append(out, n.GetMetadata().GetName())
	}
	return out
}

// ContainerNames returns the names of all containers.
func ContainerNames(ctx context.Context, api *apiclient.Client) []string {
	answer, err := api.Containers.List(ctx, &apiserverv1.ContainerServiceListRequest{All: true})
	if err != nil {
		return nil
	}
	var out []string
	for _, c := range answer.GetContainers() {
		out = append(out, c.GetMetadata().GetName())
	}
	return out
}

func imageNames(ctx context.Context, api *apiclient.Client) []string {
	answer, err := api.Images.List(ctx, &apiserverv1.ImageServiceListRequest{})
	if err != nil {
		return nil
	}
	var out []string
	for _, i := range answer.GetImages() {
		out = append(out, i.GetStatus().GetReferences()...)
	}
	return out
}
