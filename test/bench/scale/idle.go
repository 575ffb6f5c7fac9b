package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/test/bench/usage"
)

// idle is what processes use while nobody asks for anything.
type idle struct {
	over  time.Duration
	kinds []kindUse
}

type kindUse struct {
	kind   usage.Kind
	count  int
	median int64 // bytes of memory (PSS) of one
	total  int64 // of all
	cpu    time.Duration
}

// rest measures for a while in which nothing happens.
func (c *climb) rest(ctx context.Context) (idle, error) {
	c.say("idle for %v", c.settings.idle)
	processes, err := c.processes(ctx)
	if err != nil {
		return idle{}, err
	}
	if err := usage.Settle(ctx, processes); err != nil { // what they have to spare is given back then
		return idle{}, err
	}
	before, err := processorTimes(processes)
	if err != nil {
		return idle{}, err
	}
	begin := time.Now()
	select {
	case <-time.After(c.settings.idle):
	case <-ctx.Done():
		return idle{}, ctx.Err()
	}
	after, err := processorTimes(processes)
	if err != nil {
		return idle{}, err
	}
	out := idle{over: time.Since(begin)}
	for _, kind := range []usage.Kind{usage.Daemon, usage.Plugin, usage.Helper, usage.Container} {
		use, err := useOf(kind, processes, before, after)
		if err != nil {
			return idle{}, err
		}
		out.kinds = append(out.kinds, use)
	}
	return out, nil
}

// processes are patchbayd, its helpers and the main processes of the containers.
func (c *climb) processes(ctx context.Context) ([]usage.Process, error) {
	all, err := usage.Below(c.runRoot)
	if err != nil {
		return nil, err
	}
	info, err := infoOf(ctx, c.full.api)
	if err != nil {
		return nil, err
	}
	all = append(all, usage.Process{PID: int(info.GetPid()), Kind: usage.Daemon})
	for n := range c.containers {
		one, err := c.full.inspect(ctx, containerName(n))
		if err != nil {
			return nil, err
		}
		pid := one.GetStatus().GetPid()
		if pid == 0 {
			return nil, fmt.Errorf("container %s: does not run any more: %v", containerName(n), one.GetStatus())
		}
		all = append(all, usage.Process{PID: int(pid), Kind: usage.Container})
	}
	return all, nil
}

func infoOf(ctx context.Context, api *apiclient.Client) (*apiserverv1.InfoResponse, error) {
	return api.System.Info(ctx, &apiserverv1.InfoRequest{WithoutChecks: true})
}

func processorTimes(processes []usage.Process) (map[int]time.Duration, error) {
	out := make(map[int]time.Duration, len(processes))
	for _, p := range processes {
		used, err := usage.CPU(p.PID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Kind, err)
		}
		out[p.PID] = used
	}
	return out, nil
}

func useOf(kind usage.Kind, processes []usage.Process, before, after map[int]time.Duration) (kindUse, error) {
	use := kindUse{kind: kind}
	var shares []int64
	for _, p := range processes {
		if p.Kind != kind {
			continue
		}
		share, err := usage.PSS(p.PID)
		if err != nil {
			return kindUse{}, fmt.Errorf("%s: %w", kind, err)
		}
		shares = append(shares, share)
		use.total += share
		use.cpu += after[p.PID] - before[p.PID]
	}
	if use.count = len(shares); use.count > 0 {
		slices.Sort(shares)
		use.median = shares[use.count/2]
	}
	return use, nil
}
