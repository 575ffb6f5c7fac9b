package cli

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"patchbay.dev/patchbay/internal/cli/dialect"
	"patchbay.dev/patchbay/internal/cli/frame"
)

// quoted are the commands and flags of Patchbay that an answer names.
var quoted = regexp.MustCompile(`"([^"]+)"`)

// What is said of a word of another tool names commands and flags that there are, and no
// word of Patchbay is taken for another tool's.
func TestWordsOfOtherTools(t *testing.T) {
	t.Parallel()
	for path, here := range dialect.Commands() {
		if c, rest, err := newRoot(&frame.Frame{}).Find(strings.Fields(path)); err == nil && len(rest) == 0 {
			t.Errorf("%q: is %q, which nobody need be told", path, c.CommandPath())
		}
		testNamed(t, nil, path, here)
	}
	for command, flags := range dialect.Flags() {
		c, rest, err := newRoot(&frame.Frame{}).Find(strings.Fields(command))
		if err != nil || len(rest) > 0 {
			t.Errorf("%q: is no command", command)
			continue
		}
		for name, here := range flags {
			if c.Flags().Lookup(name) != nil || len(name) == 1 && c.Flags().ShorthandLookup(name) != nil {
				t.Errorf("%s --%s: is there", command, name)
			}
			testNamed(t, c, command+" --"+name, here)
		}
	}
}

// testNamed looks for what an answer names; flags alone are those of c.
func testNamed(t *testing.T, c *cobra.Command, word, here string) {
	t.Helper()
	for _, match := range quoted.FindAllStringSubmatch(here, -1) {
		of, words := c, strings.Fields(match[1])
		if words[0] == "patchbay" {
			var err error
			if of, words, err = newRoot(&frame.Frame{}).Find(words[1:]); err != nil {
				t.Errorf("%s: %q: %v", word, match[1], err)
				continue
			}
		}
		if of == nil {
			t.Errorf("%s: %q: is neither a command nor a flag of one", word, match[1])
			continue
		}
		for i, flag := range words {
			name, isFlag := strings.CutPrefix(flag, "--")
			switch {
			case isFlag && of.Flags().Lookup(name) == nil && of.InheritedFlags().Lookup(name) == nil:
				t.Errorf("%s: %q: %s has no flag %s", word, match[1], of.CommandPath(), flag)
			case !isFlag && i == 0:
				t.Errorf("%s: %q: is no command", word, match[1])
			}
		}
	}
}
