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
	p.Notes = []string{"HTTP on 8 kept connections. From the host: to its own address and to 127.0.0.1, which Patchbay forwards by nft, and to ::1, which its " +
		"forwarder takes. From outside: from a machine on the host's link."}
	var undo []func() error
	defer func() {
		for _, u := range undo {
			err = errors.Join(err, u())
		}
	}()
	faults := b.absent(goal.Podman, goal.Docker)
	var readings []reading
	for _, e := range b.keepers() {
		in, err := startServer(ctx, e, engine.Box{Name: "web", Networks: 1, Publish: servedPort + ":" + servedPort})
		if err != nil {
			b.say("%s: %v", e.Name(), err)
			faults = append(faults, fault(e.Name(), err))
			continue
		}
		undo = append(undo, in.Close, func() error { return e.Remove(context.WithoutCancel(ctx), "web") })
		address, err := addressOf(ctx, in)
		if err != nil {
			return err
		}
		readings = append(readings, b.portReadings(e, address)...)
	}
	for _, where := range []string{"host", "loopback", "forwarder", "outside"} {
		p.Measurements = append(p.Measurements,
			result.Measurement{ID: "requests-" + where, What: goal.Name("requests-" + where), Unit: "requests/s", Higher: true, Series: faults},
			result.Measurement{ID: "p99-" + where, What: goal.Name("p99-" + where), Unit: "µs", Series: faults})
	}
	if err := b.read(ctx, b.rounds(12, 3), p.Measurements, readings); err != nil {
		return err
	}
	// All are compared with the same way to the container.
	for _, m := range []string{"requests-", "p99-"} {
		shareDirect(p.Measurements, m+"host", m+"loopback")
		shareDirect(p.Measurements, m+"host", m+"forwarder")
	}
	return nil
}

func shareDirect(measurements []result.Measurement, from, to string) {
	for _, m := range measurements {
		if m.ID != from {
			continue
		}
		for i := range measurements {
			if measurements[i].ID == to {
				measurements[i].Series = append(measurements[i].Series, m.Of(goal.Direct))
			}
		}
	}
}

func (b *bench) portReadings(e engine.Keeper, address string) []reading {
	at := e.Host()
	direct := e.Name() + ", own address"
	if e.Name() == goal.Patchbay {
		direct = goal.Direct
	}
	read := func(subject, where string, from *netns.Namespace, address string) reading {
		return reading{subject, []string{"requests-" + where, "p99-" + where}, func(ctx context.Context) ([]float64, error) {
			const connections = "8"
			length := time.Second
			if b.quick {
				length /= 2
			}
			f, err := b.client(ctx, from, "request", net.JoinHostPort(address, servedPort), length.String(), connections)
			return []float64{f.RequestsPerSecond, f.P99}, err
		}}
	}
	all := []reading{
		read(direct, "host", at.Inside(), address),
		read(e.Name(), "host", at.Inside(), host.Address),
		read(e.Name(), "loopback", at.Inside(), "127.0.0.1"),
		read(e.Name(), "outside", at.Outside(), host.Address),
	}
	if e.Name() == goal.Patchbay { // the others' networks have IPv4 alone
		all = append(all, read(e.Name(), "forwarder", at.Inside(), "::1"))
	}
	return all
}
