package main

import (
	"context"
	"errors"
	"net"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/host"
	"patchbay.dev/patchbay/test/bench/result"
)

// servedPort is that of the server in the container, and published it is the
// same of the host.
const servedPort = "8080"

// ports is HTTP through published ports, beside the container's own address.
func (b *bench) ports(ctx context.Context, p *result.Part) (err error) {
	p.Notes = []string{"HTTP on 8 kept connections. From the host: to its own address, to 127.0.0.1 and to ::1, which Patchbay leads to the container at connect; and to ::1 " +
		"of a network with `fast-path=off`, where its forwarder takes it. What is asked for by IPv6 is beside the container's own IPv6 address. From outside: from a machine on the host's link. " +
		"The container's own address is measured under two names: other differences are worth as much as that one lets them."}
	var undo []func() error
	defer func() {
		for _, u := range undo {
			err = errors.Join(err, u())
		}
	}()
	faults := b.absent(goal.Podman, goal.Docker)
	var readings []reading
	for _, e := range b.keepers() {
		in, end, err := b.startServer(ctx, e, engine.Box{Name: "web", Networks: 1, Publish: servedPort + ":" + servedPort})
		if err != nil {
			b.say("%s: %v", e.Name(), err)
			faults = append(faults, fault(e.Name(), err))
			continue
		}
		undo = append(undo, end)
		address, err := addressOf(ctx, in)
		if err != nil {
			return err
		}
		readings = append(readings, b.portReadings(e, address)...)
		if own, ok := e.(engine.Patchbay); ok {
			more, end, err := b.ownReadings(ctx, own, in)
			undo = append(undo, end)
			if err != nil {
				return err
			}
			readings = append(readings, more...)
		}
	}
	for _, where := range []string{"host", "loopback", "loopback6", "forwarder", "outside"} {
		p.Measurements = append(p.Measurements,
			result.Measurement{ID: "requests-" + where, What: goal.Name("requests-" + where), Unit: "requests/s", Higher: true, Series: faults},
			result.Measurement{ID: "p99-" + where, What: goal.Name("p99-" + where), Unit: "µs", Series: faults})
	}
	if err := b.read(ctx, b.rounds(40, 10), p.Measurements, readings); err != nil {
		return err
	}
	// All are compared with the same way to the container, by the same family.
	for _, m := range []string{"requests-", "p99-"} {
		share(p.Measurements, goal.Direct, m+"host", m+"loopback")
		share(p.Measurements, goal.DirectAgain, m+"host", m+"loopback")
		share(p.Measurements, goal.Direct6, m+"loopback6", m+"forwarder")
	}
	return nil
}

// share has a subject of one measurement be in another one too.
func share(measurements []result.Measurement, subject, from, to string) {
	for _, m := range measurements {
		if m.ID != from {
			continue
		}
		for i := range measurements {
			if measurements[i].ID == to {
				measurements[i].Series = append(measurements[i].Series, m.Of(subject))
			}
		}
	}
}

// portReadings are those of every engine, of the container at an address.
func (b *bench) portReadings(e engine.Keeper, address string) []reading {
	at := e.Host()
	direct := e.Name() + ", own address"
	if e.Name() == goal.Patchbay {
		direct = goal.Direct
	}
	readings := []reading{
		b.requests(direct, "host", at.Inside(), address, servedPort),
		b.requests(e.Name(), "host", at.Inside(), host.Address, servedPort),
		b.requests(e.Name(), "loopback", at.Inside(), "127.0.0.1", servedPort),
		b.requests(e.Name(), "outside", at.Outside(), host.Address, servedPort),
	}
	if direct == goal.Direct {
		readings = append(readings, b.requests(goal.DirectAgain, "host", at.Inside(), address, servedPort))
	}
	return readings
}

// ownReadings are those of Patchbay's alone: the others' networks have IPv4 alone. They need
// a network and a container more, which end takes away, beside the one in a namespace.
func (b *bench) ownReadings(ctx context.Context, e engine.Patchbay, web *netns.Namespace) (readings []reading, end func() error, err error) {
	const name, port = "forwarded", "8081"
	end = func() error { return nil }
	address, err := address6Of(ctx, web)
	if err != nil {
		return nil, end, err
	}
	remove, err := e.Network(ctx, name, "fast-path=off")
	if err != nil {
		return nil, end, err
	}
	end = remove
	_, stop, err := b.startServer(ctx, e, engine.Box{Name: name, Network: name, Publish: port + ":" + servedPort})
	if err != nil {
		return nil, end, err
	}
	end = func() error { return errors.Join(stop(), remove()) }
	if b.first != nil { // beside ends that come first a forwarder that does not would be out of its turn
		helper, err := e.Helper(ctx, name)
		if err == nil {
			err = b.first.Add(helper)
		}
		if err != nil {
			return nil, end, err
		}
	}
	at := e.Host().Inside()
	return []reading{
		b.requests(goal.Direct6, "loopback6", at, address, servedPort),
		b.requests(e.Name(), "loopback6", at, "::1", servedPort),
		b.requests(e.Name(), "forwarder", at, "::1", port),
	}, end, nil
}

// requests is a reading of HTTP at an address.
func (b *bench) requests(subject, where string, from *netns.Namespace, address, port string) reading {
	return reading{subject, []string{"requests-" + where, "p99-" + where}, func(ctx context.Context) ([]float64, error) {
		const connections = "8"
		const length = 300 * time.Millisecond // the more rounds, the less one that something else disturbed counts
		f, err := b.client(ctx, from, "request", net.JoinHostPort(address, port), length.String(), connections)
		return []float64{f.RequestsPerSecond, f.P99}, err
	}}
}
