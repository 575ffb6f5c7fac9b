package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/images"
	"patchbay.dev/patchbay/internal/layout"
)

// newRoot returns the tree of all commands.
func newRoot(f *frame.Frame) *cobra.Command {
	root := bareRoot(f)
	addGroup(root, "containers", "Containers:", frame.Make(f, containerVerbs)...)
	addGroup(root, "nouns", "Resources, each with commands of its own:", frame.Make(f, nouns)...)
	addGroup(root, "images", "Images, for short:", images.NewPull(f), images.NewPush(f), images.NewList(f))
	addGroup(root, "system", "The system:", append(frame.Make(f, ofSystem), newCompletion(f, root))...)
	root.AddCommand(newHelpExitCodes())
	finishTree(root)
	return root
}

// newRootFor returns what a command line needs of the tree.
func newRootFor(f *frame.Frame, args []string) *cobra.Command {
	f.Words = args
	only, ok := f.Wanted(slices.Concat(containerVerbs, nouns, ofSystem))
	if !ok {
		return newRoot(f)
	}
	root := bareRoot(f)
	root.CompletionOptions.DisableDefaultCmd = true
	addGroup(root, "only", "Commands:", only.Make(f))
	addGroup(root, "system", "The system:")
	finishTree(root)
	return root
}

// bareRoot returns the root without commands.
func bareRoot(f *frame.Frame) *cobra.Command {
	root := &cobra.Command{
		Use:   "patchbay [FLAGS] COMMAND",
		Short: "Containers, each plugged into any number of networks",
		Long: `Patchbay runs containers and plugs each of them into any number of networks,
each network served by a plugin of its own.`,
		Example: `  patchbay system start
  patchbay network create lan --plugin macvlan --option parent=eth0
  patchbay run --rm --network default --network lan -it debian`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	frame.AsGroup(f, root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &parseError{err} })
	global := root.PersistentFlags()
	global.StringVar(&f.Root, "root", "", fmt.Sprintf("where configuration, images and containers are kept (default $%s, else %s)", layout.RootVariable, layout.DefaultRoot))
	global.StringVar(&f.RunRoot, "run-root", "", fmt.Sprintf("where sockets and what a reboot ends are kept (default $%s, else %s)", layout.RunRootVariable, layout.DefaultRunRoot))

	root.SetHelpCommandGroupID("system")
	return root
}

// finishTree sets what all commands have alike.
func finishTree(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	for _, below := range c.Commands() {
		finishTree(below)
	}
}

func addGroup(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, c := range commands {
		c.GroupID = id
	}
	root.AddCommand(commands...)
}
