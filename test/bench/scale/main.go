// Command scale measures what operations cost beside a growing number of
// containers, from none to many and back to none, and what all of it uses while
// nothing happens. It talks to a patchbayd that runs already, has no containers
// and has the image "box:latest"; scripts/bench-scale.sh makes one. In the end,
// and when it is interrupted, its containers and networks are gone.
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
		fmt.Fprintf(os.Stderr, "bench-scale: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s, err := fromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	r, err := measure(ctx, s, os.Stderr)
	if err != nil {
		return err
	}
	return r.publish(os.Stdout)
}
