package main

import (
	"context"
	"errors"
	"slices"

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
	further, err := b.further(ctx)
	for _, s := range measurements[1].Series {
		one := measurements[0].Of(s.Subject)
		if len(one.Values) > 0 && len(s.Values) > 0 && s.Subject != goal.Crun && s.Subject != goal.Patchbay {
			further.Series = append(further.Series, result.Series{Subject: s.Subject, Values: thirds(s.Values, one.Values)})
		}
	}
	p.Measurements = append(measurements, further)
	return err
}

// further is what each further network takes Patchbay, and what the kernel needs for it. It is a small difference of
// large figures, which takes more rounds than these are worth, in turns of the four that it is made of.
func (b *bench) further(ctx context.Context) (result.Measurement, error) {
	out := result.Measurement{ID: "further", What: goal.Name("further"), Unit: "ms", Unpaired: true}
	at := slices.IndexFunc(b.engines, func(e engine.Engine) bool { return e.Name() == goal.Patchbay })
	ours, ok := b.engines[at].(engine.Runner)
	if !ok {
		return out, nil
	}
	f, err := floor.Open(engine.MostNetworks)
	if err != nil {
		out.Series = []result.Series{fault(goal.Kernel, err)}
		return out, err
	}
	defer f.Close()
	start := func(networks int) sample.Operation {
		return sample.Operation{Do: func(ctx context.Context) error { return ours.Run(ctx, networks) }}
	}
	outcomes, err := sample.Turns(ctx, sample.Plan{Rounds: b.rounds(100, 20), Warm: true, Pause: pause, Shuffled: true},
		start(1), start(engine.MostNetworks), onFloor(f, 1), onFloor(f, engine.MostNetworks))
	if err != nil {
		return out, err
	}
	for i, subject := range []string{goal.Patchbay, goal.Kernel} {
		one, four := outcomes[2*i], outcomes[2*i+1]
		if err := errors.Join(one.Err, four.Err); err != nil {
			out.Series = append(out.Series, fault(subject, err))
			continue
		}
		out.Series = append(out.Series, result.Series{Subject: subject, Values: thirds(result.Milliseconds(four.Times), result.Milliseconds(one.Times))})
	}
	return out, nil
}

// thirds is what each of three further networks takes, round by round.
func thirds(four, one []float64) []float64 {
	out := make([]float64, min(len(four), len(one)))
	for i := range out {
		out[i] = (four[i] - one[i]) / (engine.MostNetworks - 1)
	}
	return out
}

// onFloor attaches a fresh namespace to networks.
func onFloor(f *floor.Floor, networks int) sample.Operation {
	var inside *netns.Namespace
	return sample.Operation{
		Before: func(context.Context) (err error) { inside, err = netns.New(); return err },
		Do:     func(context.Context) error { return f.Attach(inside, networks) },
		After:  func(context.Context) error { return inside.Close() },
	}
}
