// Command patchbay-guest is the agent in the virtual machines of the runtime vm:
// process 1 there, and the last step of each of the container's processes.
package main

import (
	"fmt"
	"os"

	"patchbay.dev/patchbay/internal/runtime/oci/initproc"
	"patchbay.dev/patchbay/internal/runtime/vm/guest"
)

func main() {
	verb := ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	switch {
	case verb == guest.StageVerb:
		guest.Stage()
		os.Exit(1)
	case verb == "init":
		os.Exit(initproc.Main(os.Args[2:]))
	case os.Getpid() == 1:
		guest.Main()
	default:
		fmt.Fprintln(os.Stderr, "patchbay-guest: is process 1 of a virtual machine of the runtime vm; it is of no use elsewhere")
		os.Exit(2)
	}
}
