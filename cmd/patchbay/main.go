// Command patchbay is the command line of Patchbay.
package main

import (
	"os"

	"patchbay.dev/patchbay/internal/cli"
	_ "patchbay.dev/patchbay/internal/stack/first" // its stack, before what follows is initialized
	"patchbay.dev/patchbay/internal/timerslack"
)

func main() {
	_ = timerslack.Widen() // without it the command takes a little longer
	os.Exit(cli.Main(cli.Config{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}
