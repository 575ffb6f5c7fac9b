package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/usage"
)

// idle is what the processes of Patchbay use beside 100 containers, spread over the networks,
// while nothing happens.
func (b *bench) idle(ctx context.Context, p *result.Part) (err error) {
	const containers = 100
	p.Notes = []string{fmt.Sprintf("%d containers, a quarter of them on each of 4 networks. Processor time is that of patchbayd, all network plugins, runtime helpers and containers together.", containers)}
	name := func(i int) string { return fmt.Sprintf("idle%d", i) }
	started := 0
	defer func() {
		for i := range started {
			err = errors.Join(err, b.remove(context.WithoutCancel(ctx), name(i)))
		}
	}()
	for ; started < containers; started++ {
		if err := b.start(ctx, name(started), all[started%len(all)]); err != nil {
			return err
		}
	}
	processes, err := b.processes(ctx)
	if err != nil {
		return err
	}
	if err := usage.Settle(ctx, processes); err != nil { // what they have to spare is given back then
		return err
	}
	for _, m := range []struct {
		kind     usage.Kind
		id, what string
	}{
		{usage.Daemon, "memory-daemon", goal.Name("memory-daemon")},
		{usage.Helper, "memory-helper", goal.Name("memory-helper")},
		{usage.Plugin, "memory-plugin", goal.Name("memory-plugin")},
	} {
		sizes, err := sizes(processes, m.kind)
		if err != nil {
			return err
		}
		p.Measurements = append(p.Measurements, result.Measurement{ID: m.id, What: m.what, Unit: "MiB", Series: []result.Series{{Subject: goal.Patchbay, Values: sizes}}})
	}
	share, err := b.processorTime(ctx, processes)
	if err != nil {
		return err
	}
	p.Measurements = append(p.Measurements, result.Measurement{
		ID: "idle", What: goal.Name("idle"), Unit: "% of a core",
		Series: []result.Series{{Subject: goal.Patchbay, Values: []float64{share}}},
	})
	return nil
}

// processes are all that belong to the patchbayd.
func (b *bench) processes(ctx context.Context) ([]usage.Process, error) {
	out, err := usage.Below(b.runRoot)
	if err != nil {
		return nil, err
	}
	info, err := b.api.System.Info(ctx, &apiserverv1.InfoRequest{WithoutChecks: true})
	if err != nil {
		return nil, err
	}
	out = append(out, usage.Process{PID: int(info.GetPid()), Kind: usage.Daemon})
	list, err := b.api.Containers.List(ctx, &apiserverv1.ContainerServiceListRequest{})
	if err != nil {
		return nil, err
	}
	for _, c := range list.GetContainers() {
		out = append(out, usage.Process{PID: int(c.GetStatus().GetPid()), Kind: usage.Container})
	}
	return out, nil
}

// sizes are the memory of each process of a kind, in MiB.
func sizes(processes []usage.Process, kind usage.Kind) ([]float64, error) {
	var out []float64
	for _, p := range processes {
		if p.Kind != kind {
			continue
		}
		size, err := usage.PSS(p.PID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		out = append(out, float64(size)/(1<<20))
	}
	return out, nil
}

// processorTime is what they use of a core while nothing happens, in percent.
func (b *bench) processorTime(ctx context.Context, processes []usage.Process) (float64, error) {
	used := func() (sum time.Duration, err error) {
		for _, p := range processes {
			one, err := usage.CPU(p.PID)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", p.Kind, err)
			}
			sum += one
		}
		return sum, nil
	}
	before, err := used()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := wait(ctx, time.Duration(b.rounds(30, 10))*time.Second); err != nil {
		return 0, err
	}
	after, err := used()
	if err != nil {
		return 0, err
	}
	return 100 * (after - before).Seconds() / time.Since(begun).Seconds(), nil
}

// wait is for what is measured over a time.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
