// Command timeline draws what happened from the start to the end of a command, as
// strace(1) saw it: a lane for each process, and on it its calls of others, its
// waits for the disk and its messages to the kernel's network. It reads the traces
// of patchbayd, with all that it started, and of the command, and writes SVG;
// scripts/timeline.sh makes the traces.
package main

import (
	"fmt"
	"os"

	"patchbay.dev/patchbay/internal/atomicfile"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: timeline TRACE-OF-PATCHBAYD TRACE-OF-COMMAND PICTURE.svg")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintf(os.Stderr, "timeline: %v\n", err)
		os.Exit(1)
	}
}

func run(daemon, command, picture string) error {
	served, err := os.ReadFile(daemon)
	if err != nil {
		return err
	}
	asked, err := os.ReadFile(command)
	if err != nil {
		return err
	}
	lanes, err := read(string(served), string(asked))
	if err != nil {
		return err
	}
	return atomicfile.Write(picture, draw(lanes), 0o644)
}
