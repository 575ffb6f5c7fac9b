package cli

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
	"patchbay.dev/patchbay/internal/cli/images"
	"patchbay.dev/patchbay/internal/layout"
	"patchbay.dev/patchbay/internal/version"
)

// newRoot returns the tree of all commands.
func newRoot(f *frame.Frame) *cobra.Command {
	root := bareRoot(f)
	addGroup(root, "containers", "Containers:", frame.Make(f, containerVerbs)...)
	addGroup(root, "nouns", "Resources, each with commands of its own:", frame.Make(f, nouns)...)
	addGroup(root, "images", "Images, for short:", images.NewPull(f), images.NewPush(f), images.NewList(f))
	addGroup(root, "system", "The system:", append(frame.Make(f, ofSystem), newCompletion(f, root))...)
	root.AddCommand(newHelpExitCodes())
	completeHelp(f, root)
	finishTree(root)
	return root
}

// completeHelp has the command "help" refuse what it has no help for.
func completeHelp(f *frame.Frame, root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return
	}
	help.Run = nil
	help.RunE = func(_ *cobra.Command, words []string) error {
		found, rest, err := root.Find(words)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			f.Fault(frame.UnknownCommand(found, rest[0]))
		}
		if err := f.Usage(); err != nil {
			return err
		}
		return found.Help()
	}
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
		Version:           version.Version(),
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
	root.SetUsageFunc(usageWithoutRepetition(root.UsageFunc()))
	return root
}

// usageWithoutRepetition leaves out the second line by which cobra says that a group wants
// a command.
func usageWithoutRepetition(show func(*cobra.Command) error) func(*cobra.Command) error {
	return func(c *cobra.Command) error {
		out := c.OutOrStderr()
		var text bytes.Buffer
		c.SetOut(&text)
		err := show(c)
		c.SetOut(out)
		if err != nil {
			return err
		}
		_, err = out.Write(bytes.Replace(text.Bytes(), []byte("  "+c.CommandPath()+" [command]\n"), nil, 1))
		return err
	}
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
