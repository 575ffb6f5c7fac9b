package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/goal"
)

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

	opNetworkListLine = "`patchbay network list`"
	opNetworkLine     = "`patchbay network inspect`"
	opNetwork         = "network create"
	opNetworkDelete   = "network delete"

	// opMachine has nothing to do with Patchbay and is the same on both hosts: what it takes more
	// beside many, the machine has become slower by, or its processors had others to run; and by
	// what its ratio is off 1, any ratio of as many rounds may be by chance.
	opMachine = goal.Machine
)

// round does each operation in two turns, in the second one with the hosts in the other order,
// and keeps the mean of both. So neither host has more often what the other one leaves to be
// done in the background, and a machine that becomes slower meanwhile meets both alike.
func (c *climb) round(ctx context.Context, beside int, down bool, name string) error {
	first, err := c.turn(ctx, name, false)
	if err != nil {
		return err
	}
	second, err := c.turn(ctx, name, true)
	if err != nil {
		return err
	}
	c.keepRound(beside, down, first, second)
	return nil
}

// keepRound puts the means of two turns, which have the same operations, into the curves.
func (c *climb) keepRound(beside int, down bool, first, second []timing) {
	for i, t := range first {
		c.curves.Add(t.operation, beside, down, curve.Mean(t.pair, second[i].pair))
	}
}

// timing is what an operation took in one turn.
type timing struct {
	operation string
	pair      curve.Pair
}

// probe is what is measured on one host.
type probe struct {
	world
	full     bool // it is the host that fills
	pid      int64
	resolver resolver
}

// turn is each operation once on both hosts, one after the other; several times what is
// over soon.
type turn struct {
	probes []*probe // in the order in which they are measured
	now    func() time.Time
	out    []timing
	err    error // of the first operation that failed; later ones are left out
}

// step is a part of what is done in turns.
type step struct {
	operation string // "": not timed
	do        func(p *probe) error
}

// do does the steps in their order, each on one host and then on the other, and all of it so many
// times; of each timed one it keeps the medians.
func (t *turn) do(times int, steps ...step) {
	taken := make([]curve.Point, len(steps))
	for range times {
		for i, s := range steps {
			var pair curve.Pair
			for _, p := range t.probes {
				if t.err != nil {
					return
				}
				begin := t.now()
				if err := s.do(p); err != nil {
					t.err = fmt.Errorf("%s on the host of %s: %w", s.operation, p.runRoot, err)
				}
				took := t.now().Sub(begin)
				if p.full {
					pair.Full = took
				} else {
					pair.Empty = took
				}
			}
			taken[i].Pairs = append(taken[i].Pairs, pair)
		}
	}
	for i, s := range steps {
		if s.operation != "" && t.err == nil {
			t.out = append(t.out, timing{s.operation, curve.Pair{Full: curve.Median(taken[i].Full()), Empty: curve.Median(taken[i].Empty())}})
		}
	}
}

// turn measures all operations with a container of that name on both hosts.
func (c *climb) turn(ctx context.Context, name string, emptyFirst bool) ([]timing, error) {
	const questions, changes, references = 25, 3, 20
	t := &turn{probes: []*probe{{world: c.full, full: true}, {world: c.empty}}, now: time.Now}
	if emptyFirst {
		slices.Reverse(t.probes)
	}
	b := c.probeBox(name)
	t.do(1, step{opStart, func(p *probe) error { return p.start(ctx, b) }})
	t.do(1, step{opInspect, func(p *probe) error {
		found, err := p.inspect(ctx, name)
		p.pid = found.GetStatus().GetPid()
		return err
	}})
	t.do(1, step{opList, func(p *probe) error { _, err := p.list(ctx); return err }})
	t.do(changes,
		step{opConnect, func(p *probe) error { return p.connect(ctx, name, extra) }},
		step{opDisconnect, func(p *probe) error { return p.disconnect(ctx, name, extra) }})
	t.questions(name, questions)
	for _, line := range []struct {
		operation string
		args      []string
	}{
		{opListLine, []string{"list", "--all"}},
		{opLine, []string{"inspect", name}},
		{opNetworkListLine, []string{"network", "list"}},
		{opNetworkLine, []string{"network", "inspect", common}},
	} {
		t.do(1, step{line.operation, func(p *probe) error { return p.command(ctx, line.args...) }})
	}
	remove := func(p *probe) error { return p.remove(ctx, name) }
	t.do(1, step{opRemove, remove})
	t.do(1, step{opMachine, func(*probe) error { return reference(ctx, references) }})
	b.firstPort, b.ports = probePort, probePorts
	t.do(1, step{opPublish, func(p *probe) error { return p.start(ctx, b) }}, step{do: remove})
	t.do(1,
		step{opNetwork, func(p *probe) error { return p.createNetwork(ctx, name, "") }},
		step{opNetworkDelete, func(p *probe) error { return p.deleteNetwork(ctx, name) }})
	return t.out, t.err
}

// questions asks the resolvers of both containers for their own name.
func (t *turn) questions(name string, times int) {
	t.do(1, step{do: func(p *probe) (err error) { p.resolver, err = dialResolver(p.pid); return err }})
	defer func() {
		for _, p := range t.probes {
			if p.resolver.connection != nil {
				t.err = errors.Join(t.err, p.resolver.connection.Close())
			}
		}
	}()
	t.do(times, step{opResolve, func(p *probe) error { return p.resolver.resolve(name) }})
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
