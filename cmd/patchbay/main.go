// Command patchbay is the command line of Patchbay.
package main

import (
	"os"
	"runtime/debug"

	"patchbay.dev/patchbay/internal/cli"
	"patchbay.dev/patchbay/internal/timerslack"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // most commands end before there is garbage worth collecting
	}
	_ = timerslack.Widen() // without it the command takes a little longer
	os.Exit(cli.Main(cli.Config{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}
