// Command patchbay-runtime-vm keeps one container in a virtual machine. patchbayd
// starts one such process for each running container.
//
// Without an argument it is the runtime helper; "cleanup" removes what a killed
// one left; "check" says as JSON what the runtime finds on the host; "kernel set",
// "status" and "try" keep the kernel that machines boot, and "kernel warm" a machine for
// others to go on from.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"patchbay.dev/patchbay/internal/runtime/vm"
	"patchbay.dev/patchbay/internal/runtime/vm/site"
	"patchbay.dev/patchbay/internal/runtime/vm/verbs"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/serve"
	"patchbay.dev/patchbay/internal/sandbox/strategy"
	"patchbay.dev/patchbay/internal/version"
)

// verbTimeout bounds what the verbs do; a kernel may have to be downloaded.
const verbTimeout = 5 * time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "patchbay-runtime-vm: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return serve.Main(serve.Config{Name: "vm", Version: version.Version(), Strategies: strategy.Only(vm.Strategies()...), Engine: newEngine})
	}
	here, err := site.Here()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), verbTimeout)
	defer cancel()
	return verbs.Verbs{Site: here}.Run(ctx, os.Stdout, args)
}

func newEngine(id, stateDir string) (sandbox.Engine, error) {
	here, err := site.Here()
	if err != nil {
		return nil, err
	}
	return vm.New(vm.Config{ID: id, StateDir: stateDir, Site: here})
}
