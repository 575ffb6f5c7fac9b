package cli_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"patchbay.dev/patchbay/internal/cli"
)

// A command in a page, in a line of its own, after a prompt or in a code span. What follows
// the command line in a shell is none of it.
var documented = regexp.MustCompile("(?m)(?:^(?:    |[#$] |)|`|\\| )(patchbay [a-z-][^`|>#\\n]*)")

// Pages of how things are. Decisions tell how they were, and the reference is made of the commands.
var howThingsAre = []string{"../../README.md", "../../CONTRIBUTING.md", "../../docs", "../../examples"}

// TestDocumentedCommands: what pages tell users to type is there.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range pages(t) {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range documented.FindAllSubmatch(content, -1) {
			words := strings.Fields(string(m[1]))[1:]
			if strings.HasSuffix(words[0], ",") {
				continue // the program and its version, in a list of several
			}
			found++
			if err := exists(words); err != nil {
				t.Errorf("%s: %q: %v", page, m[1], err)
			}
		}
	}
	if found < 100 {
		t.Errorf("found %d commands in all pages, which cannot be all", found)
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, root := range howThingsAre {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() && slices.Contains([]string{"decisions", "reference"}, d.Name()) {
				return filepath.SkipDir
			}
			if filepath.Ext(path) == ".md" {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// exists says what of a command line is not there: the command or a flag of it.
func exists(words []string) error {
	command, rest, err := cli.Commands().Find(words)
	if err != nil {
		return err
	}
	if command.HasSubCommands() && len(rest) > 0 && regexp.MustCompile(`^[a-z]`).MatchString(rest[0]) {
		return errors.New("there is no such command")
	}
	var unknown *pflag.NotExistError
	if err := command.ParseFlags(rest); errors.As(err, &unknown) {
		return err
	}
	return nil
}
