package frame

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/wire"
)

// Group returns a command that only has commands below it.
func Group(f *Frame, use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use + " COMMAND", Short: short}
	AsGroup(f, c)
	c.AddCommand(commands...)
	return c
}

// AsGroup makes a command show its help, and refuse words that are no command.
func AsGroup(f *Frame, c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			f.Fault(unknownCommand(c, args[0]))
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.Usage(); err != nil {
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

// Distinct drops repetitions: a list of values grows with each parsing.
func Distinct(faults []error) []error {
	var out []error
	seen := map[string]bool{}
	for _, fault := range faults {
		for line := range strings.SplitSeq(wire.Text(fault), "\n") {
			if !seen[line] {
				seen[line] = true
				out = append(out, errors.New(line))
			}
		}
	}
	return out
}

// Called names a command in front of a fault: "network create: ".
func Called(c *cobra.Command) string {
	if !c.HasParent() {
		return ""
	}
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ") + ": "
}
