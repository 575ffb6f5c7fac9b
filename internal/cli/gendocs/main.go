// Command gendocs writes the reference pages of the command line:
//
//	go run ./internal/cli/gendocs DIRECTORY
package main

import (
	"fmt"
	"os"

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
	return doc.GenMarkdownTree(cli.Commands(), directory)
}
