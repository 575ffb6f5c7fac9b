package main

import (
	"context"
	"fmt"
	"time"

	"patchbay.dev/patchbay/test/bench/sample"
	"patchbay.dev/patchbay/test/bench/usage"
)

// row is a line of the table.
type row struct {
	what, target, got, detail string
	met                       verdict
}

type verdict string

const (
	met     verdict = "yes"
	missed  verdict = "no"
	unknown verdict = "-" // what it is compared with is not installed, or there is no target
)

func atMost(value, limit float64) verdict {
	if value <= limit {
		return met
	}
	return missed
}

// pause is between two operations that take turns, so that what the one leaves to be
// done in the background does not meet the other.
const pause = 150 * time.Millisecond

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// measure fills the table, row by row.
func (b *bench) measure(ctx context.Context) ([]row, error) {
	var rows []row
	for _, step := range []func(context.Context) ([]row, error){b.starts, b.changes, b.bursts, b.memory} {
		more, err := step(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// starts is the way from the start to the exit of "true".
func (b *bench) starts(ctx context.Context) ([]row, error) {
	series, err := sample.Turns(ctx, b.rounds, pause, b.crun(), b.run(1), b.crun(), b.run(4), b.run(0))
	if err != nil {
		return nil, err
	}
	one, four, none := series[1], series[3], series[4]
	to1, to4 := sample.Ratio(one, series[0]), sample.Ratio(four, series[2])
	describe := func(s sample.Series, base sample.Series) string {
		return fmt.Sprintf("median %s, p95 %s; crun %s", milliseconds(s.Median()), milliseconds(s.Quantile(0.95)), milliseconds(base.Median()))
	}
	return []row{
		{"start to exit of `run --rm box true`, 1 network", "2.0 x bare `crun run`", fmt.Sprintf("%.2f x", to1), describe(one, series[0]), atMost(to1, 2)},
		{"the same, 4 networks", "2.4 x bare `crun run`", fmt.Sprintf("%.2f x", to4), describe(four, series[2]), atMost(to4, 2.4)},
		{"each further network", "3 ms", milliseconds((four.Median() - one.Median()) / 3), "a third of the difference of the medians", atMost(float64((four.Median()-one.Median())/3), float64(3*time.Millisecond))},
		{"the same without a network", "", fmt.Sprintf("%.2f x", sample.Ratio(none, series[0])), describe(none, series[0]), unknown},
	}, nil
}

// changes are those of a container that runs, and its end.
func (b *bench) changes(ctx context.Context) ([]row, error) {
	if err := b.start(ctx, "one", 1); err != nil {
		return nil, err
	}
	rewire, err := sample.Turns(ctx, b.rounds, pause, b.rewire("one"))
	if err != nil {
		return nil, err
	}
	if err := b.remove(ctx, "one"); err != nil {
		return nil, err
	}
	lives, err := sample.Turns(ctx, b.rounds, pause,
		func(ctx context.Context) error { return b.start(ctx, "one", 4) },
		func(ctx context.Context) error { return b.remove(ctx, "one") })
	if err != nil {
		return nil, err
	}
	starts, ends := lives[0], lives[1]
	return []row{
		{"connect + disconnect one network of a running container, by the API", "0.10 x netavark", milliseconds(rewire[0].Median()), "p95 " + milliseconds(rewire[0].Quantile(0.95)), unknown},
		{"create + start on 4 networks, by the API", "", milliseconds(starts.Median()), "p95 " + milliseconds(starts.Quantile(0.95)), unknown},
		{"stop + delete of a running container on 4 networks", "0.10 x podman", milliseconds(ends.Median()), "p95 " + milliseconds(ends.Quantile(0.95)), unknown},
	}, nil
}

// bursts are many containers at once.
func (b *bench) bursts(ctx context.Context) ([]row, error) {
	var starts, ends sample.Series
	for range max(1, b.rounds/10) {
		up, err := b.all(ctx, func(ctx context.Context, name string) error { return b.start(ctx, name, 1) })
		if err != nil {
			return nil, err
		}
		down, err := b.all(ctx, b.remove)
		if err != nil {
			return nil, err
		}
		starts, ends = append(starts, up), append(ends, down)
	}
	return []row{
		{fmt.Sprintf("burst: start %d containers at once, 1 network", b.burst), "0.25 x podman", milliseconds(starts.Median()), "", unknown},
		{"burst: remove them at once", "0.10 x podman", milliseconds(ends.Median()), "", unknown},
	}, nil
}

// memory is what the processes have beside 100 containers, each on one of the networks.
func (b *bench) memory(ctx context.Context) ([]row, error) {
	const containers = 100
	for i := range containers {
		if err := b.start(ctx, fmt.Sprintf("m%d", i), 1); err != nil {
			return nil, err
		}
	}
	select { // until what they have to spare is given back
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	sizes, err := b.sizes()
	if err != nil {
		return nil, err
	}
	for i := range containers {
		if err := b.remove(ctx, fmt.Sprintf("m%d", i)); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, t := range []struct {
		kind  usage.Kind
		what  string
		limit float64 // MiB
	}{
		{usage.Daemon, "memory (PSS) of patchbayd with 100 containers", 40},
		{usage.Helper, "of a runtime helper", 2.6},
		{usage.Plugin, "of a network plugin", 4},
	} {
		mebibytes := float64(sizes[t.kind]) / (1 << 20)
		rows = append(rows, row{t.what, fmt.Sprintf("%g MiB", t.limit), fmt.Sprintf("%.1f MiB", mebibytes), "", atMost(mebibytes, t.limit)})
	}
	return rows, nil
}
