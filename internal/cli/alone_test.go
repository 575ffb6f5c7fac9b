package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay.dev/patchbay/internal/cli"
	"patchbay.dev/patchbay/internal/layout"
)

// Commands that do something where patchbayd does not run and no word follows.
var atOnce = []string{"patchbay system start", "patchbay system trace", "patchbay help", "patchbay __complete", "patchbay __completeNoDesc"}

// No command, alone or with any one flag alone, does anything else than say what it wants: that
// it was given none of the words that it is about is found by whoever looks at them first.
func TestCommandsAlone(t *testing.T) {
	run := t.TempDir()
	t.Setenv(layout.RunRootVariable, filepath.Join(run, "run"))
	t.Setenv(layout.RootVariable, filepath.Join(run, "root"))
	nothing, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer nothing.Close()
	try := func(args ...string) {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			heard, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer heard.Close()
			code := cli.Main(cli.Config{Args: args, Stdin: nothing, Stdout: nothing, Stderr: heard})
			said, err := os.ReadFile(heard.Name())
			if err != nil {
				t.Fatal(err)
			}
			if code != 0 && !strings.HasPrefix(string(said), "patchbay: ") {
				t.Errorf("code %d, and %q, want a line that says why", code, said)
			}
		})
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			visit(below)
		}
		if !c.Runnable() || slices.Contains(atOnce, c.CommandPath()) {
			return
		}
		words := strings.Fields(c.CommandPath())[1:]
		try(words...)
		c.Flags().VisitAll(func(f *pflag.Flag) {
			flag := "--" + f.Name
			if f.NoOptDefVal == "" {
				flag += "=" + f.Value.String()
			}
			try(append(slices.Clone(words), flag)...)
			if f.NoOptDefVal == "" {
				try(append(slices.Clone(words), "--"+f.Name+"=1")...)
			}
		})
	}
	visit(cli.Commands())
}
