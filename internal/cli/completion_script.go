package cli

import (
	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
)

func newCompletion(f *frame.Frame, root *cobra.Command) *cobra.Command {
	shells := map[string]func() error{
		"bash": func() error { return root.GenBashCompletionV2(f.Stdout, true) },
		"zsh":  func() error { return root.GenZshCompletion(f.Stdout) },
		"fish": func() error { return root.GenFishCompletion(f.Stdout, true) },
	}
	c := frame.Group(f, "completion", "Write the script that lets a shell complete commands and names")
	c.Example = `  patchbay completion bash >/etc/bash_completion.d/patchbay`
	for _, shell := range []string{"bash", "zsh", "fish"} {
		c.AddCommand(&cobra.Command{
			Use:   shell,
			Short: "Write the completion script for " + shell,
			Args:  f.Exactly(0, "no arguments"),
			RunE: func(*cobra.Command, []string) error {
				if err := f.Usage(); err != nil {
					return err
				}
				return shells[shell]()
			},
		})
	}
	return c
}
