package cli

import (
	"slices"
	"testing"

	"patchbay.dev/patchbay/internal/cli/frame"
)

// TestCommandsAreFoundByName: a command line gets its command without all others.
func TestCommandsAreFoundByName(t *testing.T) {
	t.Parallel()
	for _, verb := range slices.Concat(containerVerbs, nouns, ofSystem) {
		f := &frame.Frame{}
		root := newRootFor(f, []string{verb.name})
		c, _, err := root.Find([]string{verb.name})
		if err != nil || c.Name() != verb.name {
			t.Errorf("%s: found %v, %v", verb.name, c, err)
		}
		if n := len(root.Commands()); n != 1 {
			t.Errorf("%s: %d commands were made, want one", verb.name, n)
		}
		whole, _, err := newRoot(&frame.Frame{}).Find([]string{verb.name})
		if err != nil || whole.UsageString() != c.UsageString() || len(whole.Commands()) != len(c.Commands()) {
			t.Errorf("%s: the usage differs from that in the whole tree (%v):\n%s\n%s", verb.name, err, c.UsageString(), whole.UsageString())
		}
	}
}
