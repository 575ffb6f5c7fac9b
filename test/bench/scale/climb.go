package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/machine"
)

// extra is the network that the probe is connected to and disconnected from.
const extra = "extra"

// climb is one way up and down.
type climb struct {
	settings
	full, empty world // the one that fills, and the one beside it
	progress    io.Writer

	curves    curve.Set
	networks  []time.Duration // creations of those that stay, one after the other
	starts    []time.Duration // of the containers that stay
	removals  []time.Duration // the last one is of the first container
	deletions []time.Duration // the last one is of the network that was made first
	idle      idle
}

// measure makes networks and containers, measures beside them, and takes all away
// again, whatever happens.
func measure(ctx context.Context, s settings, progress io.Writer) (_ report, err error) {
	c := &climb{settings: s, full: open(s.runRoot), empty: open(s.emptyRunRoot), progress: progress}
	for _, w := range c.hosts() {
		before, err := w.list(ctx)
		if err != nil {
			return report{}, err
		}
		if len(before) > 0 {
			return report{}, fmt.Errorf("run root %s: has %d containers already, want none", w.runRoot, len(before))
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.clear(context.WithoutCancel(ctx)))
		}
	}()
	r := report{settings: s, begun: time.Now(), load: machine.Load()}
	if err := c.up(ctx); err != nil {
		return report{}, err
	}
	if c.idle, err = c.rest(ctx); err != nil {
		return report{}, err
	}
	if err := c.down(ctx); err != nil {
		return report{}, err
	}
	r.took, r.curves, r.idle = time.Since(r.begun), c.curves.Curves, c.idle
	r.networks, r.starts, r.removals, r.deletions = c.networks, c.starts, c.removals, c.deletions
	return r, nil
}

func (c *climb) say(format string, args ...any) { fmt.Fprintf(c.progress, format+"\n", args...) }

func (c *climb) hosts() []world { return []world{c.full, c.empty} }

// clear takes all away from both hosts.
func (c *climb) clear(ctx context.Context) error {
	return errors.Join(c.full.clear(ctx), c.empty.clear(ctx))
}

func (c *climb) up(ctx context.Context) error {
	for _, w := range c.hosts() {
		if err := c.furnish(ctx, w); err != nil {
			return err
		}
	}
	networks, running := c.networksAt(0), 0
	for _, step := range c.steps() {
		c.say("up to %d containers", step)
		for ; networks < c.networksAt(step); networks++ {
			name := networkName(networks - 1) // the common one has no number
			if err := keep(&c.networks, func() error { return c.full.createNetwork(ctx, name, "") }); err != nil {
				return err
			}
		}
		for ; running < step; running++ {
			first, count := c.portsOf(running)
			b := box{containerName(running), c.networksOf(running, networks), first, count}
			if err := keep(&c.starts, func() error { return c.full.start(ctx, b) }); err != nil {
				return err
			}
		}
		if err := c.probe(ctx, running, false); err != nil {
			return err
		}
	}
	return nil
}

// furnish gives a host what the probe is on, and starts one container there, for what only the
// first one takes.
func (c *climb) furnish(ctx context.Context, w world) error {
	const room = "10.199.0.0/20" // for more containers than a bridge has ports
	faults := []error{w.createNetwork(ctx, common, room), w.createNetwork(ctx, extra, "")}
	for n := range c.networksAt(0) - 1 {
		faults = append(faults, w.createNetwork(ctx, networkName(n), ""))
	}
	b := c.probeBox("warm")
	return errors.Join(append(faults, w.start(ctx, b), w.remove(ctx, b.name))...)
}

// probeBox is the container that is measured: on the same networks on either host and beside any number.
func (c *climb) probeBox(name string) box {
	return box{name: name, networks: c.networksOf(0, c.networksAt(0))}
}

func (c *climb) down(ctx context.Context) error {
	steps := c.steps()
	running, networks := c.containers, c.networksAt(c.containers)
	for i := len(steps) - 1; i >= 0; i-- {
		c.say("down to %d containers", steps[i])
		for ; running > steps[i]; running-- {
			name := containerName(running - 1)
			if err := keep(&c.removals, func() error { return c.full.remove(ctx, name) }); err != nil {
				return err
			}
		}
		for ; networks > c.networksAt(steps[i]); networks-- {
			name := networkName(networks - 2)
			if err := keep(&c.deletions, func() error { return c.full.deleteNetwork(ctx, name) }); err != nil {
				return err
			}
		}
		if err := c.probe(ctx, running, true); err != nil {
			return err
		}
	}
	return c.clear(ctx)
}

func containerName(number int) string { return fmt.Sprintf("c%d", number) }

// probe measures all operations beside that many containers.
func (c *climb) probe(ctx context.Context, beside int, down bool) error {
	for number := range c.roundsAt(beside) {
		if err := c.round(ctx, beside, down, fmt.Sprintf("probe%d", number)); err != nil {
			return fmt.Errorf("beside %d containers: %w", beside, err)
		}
	}
	return nil
}

// keep times what is done once.
func keep(times *[]time.Duration, f func() error) error {
	begin := time.Now()
	err := f()
	if err == nil {
		*times = append(*times, time.Since(begin))
	}
	return err
}
