// Command targets measures the figures that Patchbay is to reach, each beside what
// it is to be compared with: bare crun with the same root file system, and podman
// where it is installed with netavark. What is compared takes turns, so that a
// change of the machine's speed meets both; the ratio of a row is the median of
// the ratios of its rounds. It talks to a patchbayd that runs already, has no
// containers and has the image "box:latest"; scripts/bench-targets.sh makes one.
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
		fmt.Fprintf(os.Stderr, "bench-targets: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := fromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	b, err := prepare(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	rows, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return publish(s, rows)
}
