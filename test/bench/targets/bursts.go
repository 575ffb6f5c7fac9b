package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/sample"
)

// bursts are many containers at once, and the removal of all.
func (b *bench) bursts(ctx context.Context, p *result.Part) (err error) {
	p.Notes = []string{"As many commands at once as there are containers start them, until the last has returned; one command removes all. A failure of one is one of the burst."}
	measurements := []result.Measurement{
		{ID: "burst-start", What: fmt.Sprintf("burst: start %d containers at once, 1 network", b.burst), Unit: "ms", Series: b.absent(goal.Podman, goal.Docker)},
		{ID: "burst-remove", What: goal.Name("burst-remove"), Unit: "ms", Series: b.absent(goal.Podman, goal.Docker)},
	}
	names := make([]string, b.burst)
	for i := range names {
		names[i] = fmt.Sprintf("burst%d", i)
	}
	var entries []entry
	add := func(who string, start func(ctx context.Context, name string) error, remove sample.Step) {
		entries = append(entries,
			entry{"burst-start", sample.Operation{Name: who, Do: func(ctx context.Context) error {
				err := atOnce(ctx, names, start)
				if err != nil {
					err = errors.Join(err, remove(ctx)) // those that were started
				}
				return err
			}}},
			entry{"burst-remove", sample.Operation{Name: who, Do: remove}})
	}
	for _, e := range b.keepers() {
		add(e.Name(),
			func(ctx context.Context, name string) error {
				return e.Start(ctx, engine.Box{Name: name, Networks: 1})
			},
			func(ctx context.Context) error { return e.Remove(ctx, names...) })
	}
	add(byAPI,
		func(ctx context.Context, name string) error { return b.start(ctx, name, all[0]) },
		func(ctx context.Context) error { return atOnce(ctx, names, b.remove) })
	p.Measurements, err = b.turns(ctx, sample.Plan{Rounds: b.rounds(5, 1), Pause: 10 * pause}, measurements, entries)
	return err
}

// atOnce does something with all of them at once and waits for the last.
func atOnce(ctx context.Context, names []string, do func(ctx context.Context, name string) error) error {
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { errs[i] = do(ctx, name) })
	}
	group.Wait()
	return errors.Join(errs...)
}
