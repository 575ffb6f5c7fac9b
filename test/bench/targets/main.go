// Command targets measures Patchbay beside what it is compared with: bare crun, other
// container engines and network tools, bare bridges of the kernel. What is compared takes
// turns, so that a change of the machine's speed meets all alike. Each engine has a
// network namespace that stands for its host. A part, an engine or an operation that fails
// costs the others nothing.
//
// It keeps what it has measured in files, a part each, and writes tables and
// pictures of all parts that are there. It talks to a patchbayd that runs already and
// has the image "box" and no networks; scripts/bench.sh makes one.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := fromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	b, err := open(ctx, s, os.Stderr)
	if err != nil {
		return err
	}
	err = b.measure(ctx)
	b.close(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	return publish(s, os.Stdout)
}
