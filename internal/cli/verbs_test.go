package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/frame"
)

// TestCommandsAreFoundByName: a command line gets its command, which is that of the whole
// tree, and none beside it.
func TestCommandsAreFoundByName(t *testing.T) {
	t.Parallel()
	known := slices.Concat(containerVerbs, nouns, ofSystem)
	for _, top := range newRoot(&frame.Frame{}).Commands() {
		if slices.ContainsFunc(known, func(m frame.Maker) bool { return m.Name == top.Name() }) {
			each(top, func(whole *cobra.Command) { testFound(t, whole) })
		}
	}
}

func each(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, below := range c.Commands() {
		each(below, do)
	}
}

func testFound(t *testing.T, whole *cobra.Command) {
	words := strings.Fields(whole.CommandPath())[1:]
	root := newRootFor(&frame.Frame{}, slices.Concat(words, []string{"--help"}))
	c, _, err := root.Find(words)
	if err != nil || c.UsageString() != whole.UsageString() || len(c.Commands()) != len(whole.Commands()) {
		t.Errorf("%q: %v, and its usage differs from that in the whole tree:\n%s\n%s", words, err, c.UsageString(), whole.UsageString())
		return
	}
	for c.HasParent() {
		c = c.Parent()
		if n := len(c.Commands()); n != 1 {
			t.Errorf("%q: %d commands were made below %q, want one", words, n, c.CommandPath())
		}
	}
}
