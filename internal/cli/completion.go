package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/client"
)

// completionTimeout is how long a shell may wait for names.
const completionTimeout = 500 * time.Millisecond

func newCompletion(f *frame, root *cobra.Command) *cobra.Command {
	shells := map[string]func() error{
		"bash": func() error { return root.GenBashCompletionV2(f.stdout, true) },
		"zsh":  func() error { return root.GenZshCompletion(f.stdout) },
		"fish": func() error { return root.GenFishCompletion(f.stdout, true) },
	}
	c := group(f, "completion", "Write the script that lets a shell complete commands and names")
	c.Example = `  patchbay completion bash >/etc/bash_completion.d/patchbay`
	for _, shell := range []string{"bash", "zsh", "fish"} {
		c.AddCommand(&cobra.Command{
			Use:   shell,
			Short: "Write the completion script for " + shell,
			Args:  f.exactly(0, "no arguments"),
			RunE: func(*cobra.Command, []string) error {
				if err := f.usage(); err != nil {
					return err
				}
				return shells[shell]()
			},
		})
	}
	return c
}

// ask lists names of patchbayd's, or none when it cannot answer quickly.
func (f *frame) ask(c *cobra.Command, names func(context.Context, *client.APIServer) []string) ([]string, cobra.ShellCompDirective) {
	base := c.Context()
	if base == nil {
		base = context.Background()
	}
	ctx, cancel := context.WithTimeout(base, completionTimeout)
	defer cancel()
	f.faults = nil
	api, err := f.dial(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer api.Close()
	return names(ctx, api), cobra.ShellCompDirectiveNoFileComp
}

// completeNames completes arguments by names, at most n of them; 0 means any
// number. Names that are there already are not offered again.
func (f *frame) completeNames(n int, names func(context.Context, *client.APIServer) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, directive := f.ask(c, names)
		return slices.DeleteFunc(all, func(name string) bool { return slices.Contains(args, name) }), directive
	}
}

// completeEach completes each argument by names of its own.
func (f *frame) completeEach(names ...func(context.Context, *client.APIServer) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(names) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f.ask(c, names[len(args)])
	}
}

func (f *frame) completeNetworks(n int) cobra.CompletionFunc {
	return f.completeNames(n, networkNames)
}

func (f *frame) completeContainers(n int) cobra.CompletionFunc {
	return f.completeNames(n, containerNames)
}

func (f *frame) completeImages(n int) cobra.CompletionFunc {
	return f.completeNames(n, imageNames)
}

// completeContainerPaths completes the beginning of CONTAINER:PATH, or else a path of
// this machine.
func (f *frame) completeContainerPaths(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) >= 2 || strings.ContainsAny(begun, "/.:") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	names, _ := f.ask(c, containerNames)
	for i := range names {
		names[i] += ":"
	}
	return names, cobra.ShellCompDirectiveNoSpace
}

// completePlugins completes the names of plugins of a kind, "" for all.
func (f *frame) completePlugins(kind string) cobra.CompletionFunc {
	return f.completeNames(0, func(ctx context.Context, api *client.APIServer) []string {
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

func networkNames(ctx context.Context, api *client.APIServer) []string {
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

func containerNames(ctx context.Context, api *client.APIServer) []string {
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

func imageNames(ctx context.Context, api *client.APIServer) []string {
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
