// Command patchbay-runtime-oci keeps one container made of Linux namespaces. patchbayd
// starts one such process for each running container.
//
// Without an argument it is the runtime helper; "cleanup" removes what a killed
// one left; "check" says as JSON what the runtime finds on the host; "init" is
// the minimal init inside containers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"patchbay.dev/patchbay/internal/runtime/oci"
	"patchbay.dev/patchbay/internal/runtime/oci/initproc"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/internal/sandbox/serve"
	"patchbay.dev/patchbay/internal/sandbox/strategy"
	"patchbay.dev/patchbay/internal/version"
)

// verbTimeout bounds what the verbs cleanup and check do.
const verbTimeout = 20 * time.Second

func main() {
	var err error
	switch {
	case len(os.Args) < 2:
		err = keep()
	case os.Args[1] == "init":
		os.Exit(initproc.Main(os.Args[2:]))
	default:
		err = run(os.Args[1])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "patchbay-runtime-oci: %v\n", err)
		os.Exit(1)
	}
}

// run does what a verb says.
func run(verb string) error {
	ctx, cancel := context.WithTimeout(context.Background(), verbTimeout)
	defer cancel()
	switch verb {
	case "cleanup":
		return oci.Cleanup(ctx, oci.Config{ID: os.Getenv(sandbox.IDVariable), StateDir: os.Getenv(sandbox.StateDirVariable)})
	case "check":
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"checks": oci.Checks(ctx)})
	}
	return fmt.Errorf("argument %q: want none, cleanup, check or init", verb)
}

// keep is the runtime helper.
func keep() error {
	p, err := oci.Prepare(serve.Directory(), os.Getenv(sandbox.CacheDirVariable))
	if err != nil {
		return err
	}
	return serve.Main(serve.Config{
		Name: "oci", Version: version.Version(), Strategies: strategy.Table(),
		Engine: func(id, stateDir string) (sandbox.Engine, error) { return p.Engine(id, stateDir) },
	})
}
