package main

import (
	"context"
	"errors"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/bench/attach"
	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/sample"
)

// changes are those of a container that runs, and its end.
func (b *bench) changes(ctx context.Context, p *result.Part) error {
	p.Notes = []string{"Patchbay connects a running container, by the API; netavark and CNI are called with a network namespace that is there, " +
		"on a bridge that another one holds. Stop and delete is `delete --force`, `rm --force --time 0` and `rm --force`."}
	attachment, err := b.attachments(ctx)
	p.Measurements = append(p.Measurements, attachment)
	ends, endsErr := b.ends(ctx)
	p.Measurements = append(p.Measurements, ends...)
	return errors.Join(err, endsErr)
}

// attachments are onto one network and off it.
func (b *bench) attachments(ctx context.Context) (result.Measurement, error) {
	const extra, box = "extra", "rewired"
	out := result.Measurement{ID: "attach", What: goal.Name("attach"), Unit: "ms", Series: b.absent(goal.Netavark, goal.CNI)}
	if err := errors.Join(b.network(ctx, extra, ""), b.start(ctx, box, all[0])); err != nil {
		return out, err
	}
	entries := []entry{{out.ID, sample.Operation{Name: goal.Patchbay, Do: func(ctx context.Context) error {
		return errors.Join(b.connect(ctx, box, extra), b.disconnect(ctx, box, extra))
	}}}}
	for _, t := range b.tools {
		entries = append(entries, entry{out.ID, attachment(t)})
	}
	measured, err := b.turns(ctx, sample.Plan{Rounds: b.rounds(25, 8), Warm: true, Pause: pause}, []result.Measurement{out}, entries)
	err = errors.Join(err, b.remove(ctx, box), b.deleteNetwork(ctx, extra))
	if len(measured) == 1 {
		out = measured[0]
	}
	return out, err
}

// attachment is that of a fresh network namespace by a tool.
func attachment(t attach.Tool) sample.Operation {
	var inside *netns.Namespace
	return sample.Operation{
		Name:   t.Name(),
		Before: func(context.Context) (err error) { inside, err = netns.New(); return err },
		Do: func(ctx context.Context) error {
			return errors.Join(t.Attach(ctx, inside, "eth0"), t.Detach(ctx, inside, "eth0"))
		},
		After: func(context.Context) error { return inside.Close() },
	}
}

// ends are those of containers on four networks.
func (b *bench) ends(ctx context.Context) ([]result.Measurement, error) {
	const box = "ending"
	measurements := []result.Measurement{
		{ID: "remove-4", What: goal.Name("remove-4"), Unit: "ms", Series: b.absent(goal.Podman, goal.Docker)},
		{ID: "up-4", What: "create + start a container on 4 networks", Unit: "ms", Series: b.absent(goal.Podman, goal.Docker)},
	}
	var entries []entry
	add := func(name string, start, remove sample.Step) {
		entries = append(entries,
			entry{"up-4", sample.Operation{Name: name, Do: start}},
			entry{"remove-4", sample.Operation{Name: name, Do: remove}})
	}
	for _, e := range b.keepers() {
		add(e.Name(), func(ctx context.Context) error {
			return e.Start(ctx, engine.Box{Name: box, Networks: engine.MostNetworks})
		}, func(ctx context.Context) error { return e.Remove(ctx, box) })
	}
	add(byAPI, func(ctx context.Context) error { return b.start(ctx, box, all...) },
		func(ctx context.Context) error { return b.remove(ctx, box) })
	return b.turns(ctx, sample.Plan{Rounds: b.rounds(12, 4), Warm: true, Pause: pause}, measurements, entries)
}

// keepers are the engines that keep containers, each once.
func (b *bench) keepers() []engine.Keeper {
	var out []engine.Keeper
	for _, e := range b.engines {
		if k, ok := e.(engine.Keeper); ok && k.Name() != engine.HeldPodman {
			out = append(out, k)
		}
	}
	return out
}
