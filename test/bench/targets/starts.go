package main

import (
	"context"
	"fmt"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/floor"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/sample"
)

// starts is the way from the start to the exit of "true".
func (b *bench) starts(ctx context.Context, p *result.Part) error {
	p.Notes = []string{"crun has a network namespace that stays empty; docker takes one network on the command line, so that on four it is create, three times connect, start and rm. " +
		"\"Networks held\": a container that stays holds podman's bridges, which go with the last container else."}
	plan := sample.Plan{Rounds: b.rounds(20, 5), Warm: true, Pause: pause}
	measurements := []result.Measurement{
		{ID: "start-1", What: goal.Name("start-1"), Unit: "ms"},
		{ID: "start-4", What: goal.Name("start-4"), Unit: "ms"},
		{ID: "start-0", What: "start to exit of it without a network", Unit: "ms"},
	}
	var entries []entry
	// What is compared most closely comes one after the other: Patchbay on one network
	// and four, and beside it crun.
	for _, e := range b.engines {
		r, ok := e.(engine.Runner)
		if !ok {
			continue
		}
		for i, n := range []int{1, 4, 0} {
			// Bare crun is what the others' starts are compared with, though it has no networks.
			if r.MostNetworks() >= n || r.Name() == goal.Crun {
				entries = append(entries, entry{measurements[i].ID, sample.Operation{Name: r.Name(), Do: func(ctx context.Context) error { return r.Run(ctx, n) }}})
			}
		}
	}
	for i := range measurements {
		measurements[i].Series = b.absent(goal.Crun, goal.Podman, engine.HeldPodman, goal.Docker, "ctr + CNI")
	}
	measurements, err := b.turns(ctx, plan, measurements, entries)
	if err != nil {
		return err
	}
	kernel, err := b.floor(ctx)
	further := result.Measurement{ID: "further", What: goal.Name("further"), Unit: "ms", Unpaired: true}
	for _, s := range measurements[1].Series {
		if one := measurements[0].Of(s.Subject); len(one.Values) > 0 && len(s.Values) > 0 && s.Subject != goal.Crun {
			further.Series = append(further.Series, result.Series{Subject: s.Subject, Values: thirds(s.Values, one.Values)})
		}
	}
	kernel.Subject = goal.Kernel
	further.Series = append(further.Series, kernel)
	p.Measurements = append(measurements, further)
	return err
}

// thirds is what each of three further networks takes, round by round.
func thirds(four, one []float64) []float64 {
	out := make([]float64, min(len(four), len(one)))
	for i := range out {
		out[i] = (four[i] - one[i]) / (engine.MostNetworks - 1)
	}
	return out
}

// floor is what the kernel needs for each further network.
func (b *bench) floor(ctx context.Context) (result.Series, error) {
	f, err := floor.Open(engine.MostNetworks)
	if err != nil {
		return fault(goal.Kernel, err), err
	}
	defer f.Close()
	operation := func(networks int) sample.Operation {
		var inside *netns.Namespace
		return sample.Operation{
			Name:   fmt.Sprint(networks),
			Before: func(context.Context) (err error) { inside, err = netns.New(); return err },
			Do:     func(context.Context) error { return f.Attach(inside, networks) },
			After: func(context.Context) error { // not without a namespace
				if inside == nil {
					return nil
				}
				return inside.Close()
			},
		}
	}
	const rounds = 30
	outcomes, err := sample.Turns(ctx, sample.Plan{Rounds: rounds, Warm: true, Pause: pause / 5}, operation(1), operation(engine.MostNetworks))
	if err != nil {
		return fault(goal.Kernel, err), err
	}
	for _, o := range outcomes {
		if o.Err != nil {
			return fault(goal.Kernel, o.Err), o.Err
		}
	}
	return result.Series{Values: thirds(result.Milliseconds(outcomes[1].Times), result.Milliseconds(outcomes[0].Times))}, nil
}
