// Command patchbay is the command line of Patchbay.
package main

import (
	"os"

	"patchbay.dev/patchbay/internal/cli"
)

func main() {
	os.Exit(cli.Main(cli.Config{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}
