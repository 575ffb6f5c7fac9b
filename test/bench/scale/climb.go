package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/machine"
)

// extra is the network that the probe is connected to and disconnected from.
const extra = "extra"

// The operations whose curves are drawn.
const (
	opStart      = "start"
	opPublish    = "start, 10 ports"
	opConnect    = "connect"
	opDisconnect = "disconnect"
	opResolve    = "resolve"
	opInspect    = "inspect"
	opList       = "list"
	opRemove     = "stop + delete"
	opListLine   = "`patchbay list`"
	opLine       = "`patchbay inspect`"

	// opReference has nothing to do with Patchbay: what it takes more beside many, the machine
	// has become slower by, or its processors had others to run.
	opReference = goal.Machine

	opNetworkListLine = "`patchbay network list`"
	opNetworkLine     = "`patchbay network inspect`"
)

// climb is one way up and down.
type climb struct {
	settings
	world
	progress io.Writer

	curves   curve.Set
	networks []time.Duration // creations, one after the other
	starts   []time.Duration // of the containers that stay
	removals []time.Duration // the last one is of the first container
	idle     idle
}

// measure makes networks and containers, measures beside them, and takes all away
// again, whatever happens.
func measure(ctx context.Context, s settings, progress io.Writer) (_ report, err error) {
	c := &climb{settings: s, world: open(s.runRoot), progress: progress}
	before, err := c.list(ctx)
	if err != nil {
		return report{}, err
	}
	if len(before) > 0 {
		return report{}, fmt.Errorf("run root %s: has %d containers already, want none", s.runRoot, len(before))
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
	r.took, r.curves, r.networks, r.starts, r.removals, r.idle = time.Since(r.begun), c.curves.Curves, c.networks, c.starts, c.removals, c.idle
	return r, nil
}

func (c *climb) say(format string, args ...any) { fmt.Fprintf(c.progress, format+"\n", args...) }

func (c *climb) up(ctx context.Context) error {
	const room = "10.199.0.0/20" // for more containers than a bridge has ports
	if err := errors.Join(c.createNetwork(ctx, common, room), c.createNetwork(ctx, extra, "")); err != nil {
		return err
	}
	c.say("%d networks", c.settings.networks)
	for n := range c.settings.networks - 1 {
		took, err := timed(func() error { return c.createNetwork(ctx, networkName(n), "") })
		if err != nil {
			return err
		}
		c.networks = append(c.networks, took)
	}
	if err := c.warm(ctx); err != nil {
		return err
	}
	running := 0
	for _, step := range c.steps() {
		for ; running < step; running++ {
			first, count := c.portsOf(running)
			b := box{containerName(running), c.networksOf(running), first, count}
			took, err := timed(func() error { return c.start(ctx, b) })
			if err != nil {
				return err
			}
			c.starts = append(c.starts, took)
		}
		if err := c.probe(ctx, running, false); err != nil {
			return err
		}
	}
	return nil
}

// warm starts one container, for what only the first one takes.
func (c *climb) warm(ctx context.Context) error {
	b := box{name: "warm", networks: c.networksOf(0)}
	return errors.Join(c.start(ctx, b), c.remove(ctx, b.name))
}

func (c *climb) down(ctx context.Context) error {
	steps := c.steps()
	running := c.containers
	for i := len(steps) - 1; i >= 0; i-- {
		for ; running > steps[i]; running-- {
			took, err := timed(func() error { return c.remove(ctx, containerName(running-1)) })
			if err != nil {
				return err
			}
			c.removals = append(c.removals, took)
		}
		if err := c.probe(ctx, running, true); err != nil {
			return err
		}
	}
	return c.clear(ctx)
}

// clear takes away what there is, whoever made it.
func (c *climb) clear(ctx context.Context) error {
	all, err := c.list(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, one := range all {
		faults = append(faults, c.remove(ctx, one.GetMetadata().GetName()))
	}
	_, err = c.api.Networks.Prune(ctx, &apiserverv1.NetworkServicePruneRequest{})
	return errors.Join(append(faults, err)...)
}

func containerName(number int) string { return fmt.Sprintf("c%d", number) }

// probe measures all operations beside that many containers.
func (c *climb) probe(ctx context.Context, beside int, down bool) error {
	c.say("%d containers", beside)
	for round := range c.rounds {
		o := operation{climb: c, beside: beside, down: down}
		o.round(ctx, fmt.Sprintf("probe%d", round))
		if o.err != nil {
			return o.err
		}
	}
	return nil
}

// operation times operations until one fails; later ones are then left out.
type operation struct {
	*climb
	beside int
	down   bool
	err    error
}

func (o *operation) time(name string, f func() error) {
	if o.err != nil {
		return
	}
	took, err := timed(f)
	if err != nil {
		o.err = fmt.Errorf("%s beside %d containers: %w", name, o.beside, err)
		return
	}
	o.curves.Add(name, o.beside, o.down, took)
}

// round measures each operation once, and several times what is over soon.
func (o *operation) round(ctx context.Context, name string) {
	const questions, changes, references = 50, 3, 20
	networks := o.networksOf(0)
	b := box{name: name, networks: networks}
	o.time(opStart, func() error { return o.start(ctx, b) })
	var pid int64
	o.time(opInspect, func() error {
		found, err := o.inspect(ctx, name)
		pid = found.GetStatus().GetPid()
		return err
	})
	o.time(opList, func() error { _, err := o.list(ctx); return err })
	for range changes {
		o.time(opConnect, func() error { return o.connect(ctx, name, extra) })
		o.time(opDisconnect, func() error { return o.disconnect(ctx, name, extra) })
	}
	o.questions(pid, name, questions)
	o.time(opListLine, func() error { return command(ctx, "list", "--all") })
	o.time(opLine, func() error { return command(ctx, "inspect", name) })
	o.time(opNetworkListLine, func() error { return command(ctx, "network", "list") })
	o.time(opNetworkLine, func() error { return command(ctx, "network", "inspect", networks[0]) })
	o.time(opRemove, func() error { return o.remove(ctx, name) })
	o.time(opReference, func() error { return reference(ctx, references) })
	b.firstPort, b.ports = probePort, probePorts
	o.time(opPublish, func() error { return o.start(ctx, b) })
	if o.err == nil {
		o.err = o.remove(ctx, name)
	}
}

func (o *operation) questions(pid int64, name string, count int) {
	if o.err != nil {
		return
	}
	r, err := dialResolver(pid)
	if err != nil {
		o.err = err
		return
	}
	defer r.connection.Close()
	for range count {
		o.time(opResolve, func() error { return r.resolve(name) })
	}
}

// reference starts processes that end at once, one after the other.
func reference(ctx context.Context, processes int) error {
	for range processes {
		if err := exec.CommandContext(ctx, "true").Run(); err != nil {
			return err
		}
	}
	return nil
}

func timed(f func() error) (time.Duration, error) {
	begin := time.Now()
	err := f()
	return time.Since(begin), err
}
