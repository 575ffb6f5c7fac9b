package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/layout"
)

// newRoot returns the tree of all commands.
func newRoot(f *frame) *cobra.Command {
	root := bareRoot(f)
	addGroup(root, "containers", "Containers:", containerCommands(f)...)
	addGroup(root, "nouns", "Resources, each with commands of its own:",
		newContainer(f), newNetwork(f), newImage(f), newRegistry(f), newPlugin(f))
	addGroup(root, "images", "Images, for short:", newImagePull(f), newImagePush(f), newImages(f))
	addGroup(root, "system", "The system:", newSystem(f), newVersion(f), newCompletion(f, root))
	root.AddCommand(newHelpExitCodes())
	finishTree(root)
	return root
}

// newRootFor returns what a command line needs of the tree. To make all flags of
// all commands takes longer than to parse those of one.
func newRootFor(f *frame, args []string) *cobra.Command {
	if len(args) > 0 {
		for _, verb := range containerVerbs {
			if verb.name == args[0] {
				root := bareRoot(f)
				addGroup(root, "containers", "Containers:", verb.make(f))
				addGroup(root, "system", "The system:")
				finishTree(root)
				return root
			}
		}
	}
	return newRoot(f)
}

// bareRoot returns the root without commands.
func bareRoot(f *frame) *cobra.Command {
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
	asGroup(f, root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &parseError{err} })
	global := root.PersistentFlags()
	global.StringVar(&f.root, "root", "", fmt.Sprintf("where configuration, images and containers are kept (default $%s, else %s)", layout.RootVariable, layout.DefaultRoot))
	global.StringVar(&f.runRoot, "run-root", "", fmt.Sprintf("where sockets and what a reboot ends are kept (default $%s, else %s)", layout.RunRootVariable, layout.DefaultRunRoot))

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

// group returns a command that only has commands below it.
func group(f *frame, use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use + " COMMAND", Short: short}
	asGroup(f, c)
	c.AddCommand(commands...)
	return c
}

// asGroup makes a command show its help, and refuse words that are no command.
func asGroup(f *frame, c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			f.fault(unknownCommand(c, args[0]))
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.usage(); err != nil {
			return err
		}
		return c.Help()
	}
}

func unknownCommand(c *cobra.Command, word string) error {
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(word); len(near) > 0 {
		return fmt.Errorf("unknown command %q, did you mean %q?", c.CommandPath()+" "+word, c.CommandPath()+" "+near[0])
	}
	return fmt.Errorf("unknown command %q, see %q", c.CommandPath()+" "+word, c.CommandPath()+" --help")
}
