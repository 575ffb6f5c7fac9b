// Command gendocs writes the reference pages of the command line:
//
//	go run ./internal/cli/gendocs DIRECTORY
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra/doc"

	"patchbay.dev/patchbay/internal/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func write(directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	root := cli.Commands()
	if err := doc.GenMarkdownTree(root, directory); err != nil {
		return err
	}
	for _, c := range root.Commands() {
		if c.IsAdditionalHelpTopicCommand() && c.Long != "" {
			page := "# " + c.Short + "\n\n```\n" + c.Long + "\n```\n"
			if err := os.WriteFile(filepath.Join(directory, "patchbay_help_"+c.Name()+".md"), []byte(page), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
