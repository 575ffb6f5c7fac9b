// Command scale measures what operations cost beside a growing number of
// containers, from none to many and back to none, each in turn with the same on a
// second host that stays empty, and what all of it uses while nothing happens. It
// talks to two patchbayds that run already, have no containers and have the image
// "box:latest"; scripts/bench-scale.sh makes them. In the end, and when it is
// interrupted, its containers and networks are gone.
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
