package frame

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/dialect"
	"patchbay.dev/patchbay/internal/wire"
)

// Maker is a command, made when it is needed: to make all flags of all commands takes longer
// than to parse those of one.
type Maker struct {
	Name string
	Make func(*Frame) *cobra.Command
}

// Group returns a command that only has commands below it.
func Group(f *Frame, use, short string, all ...Maker) *cobra.Command {
	c := &cobra.Command{Use: use + " COMMAND", Short: short}
	AsGroup(f, c)
	if only, ok := f.Wanted(all); ok {
		all = []Maker{only}
	}
	c.AddCommand(Make(f, all)...)
	return c
}

// Make makes all commands.
func Make(f *Frame, all []Maker) []*cobra.Command {
	out := make([]*cobra.Command, len(all))
	for i, m := range all {
		out[i] = m.Make(f)
	}
	return out
}

// Wanted returns the only one of a group's commands that f.Words need. Without one, the
// words name nothing, and all that is below the group is made.
func (f *Frame) Wanted(group []Maker) (only Maker, ok bool) {
	for _, m := range group {
		if len(f.Words) > 0 && m.Name == f.Words[0] {
			f.Words = f.Words[1:]
			return m, true
		}
	}
	f.Words = nil
	return Maker{}, false
}

// AsGroup makes a command show its help, and refuse words that are no command.
func AsGroup(f *Frame, c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			f.Fault(UnknownCommand(c, args[0]))
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

// UnknownCommand is the fault of a word that is none of a group's commands. What another tool
// means by it comes before what is spelled alike.
func UnknownCommand(c *cobra.Command, word string) error {
	path := c.CommandPath() + " " + word
	if here := dialect.Command(strings.TrimPrefix(path, c.Root().Name()+" ")); here != "" {
		return fmt.Errorf("unknown command %q: %s", path, here)
	}
	c.SuggestionsMinimumDistance = min((len(word)+1)/3, 2) // of a short word, two letters are most of it
	if near := c.SuggestionsFor(word); len(near) > 0 {
		return fmt.Errorf("unknown command %q, did you mean %q?", path, c.CommandPath()+" "+near[0])
	}
	return fmt.Errorf("unknown command %q, see %q", path, c.CommandPath()+" --help")
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
