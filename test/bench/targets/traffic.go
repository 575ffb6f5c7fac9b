package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/host"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/sample"
)

// figures are what a client of test/bench/traffic prints.
type figures struct {
	BitsPerSecond, RoundTrip, RequestsPerSecond, P99 float64
}

// client runs one in a namespace.
func (b *bench) client(ctx context.Context, in *netns.Namespace, args ...string) (figures, error) {
	out, err := host.Output(ctx, in, append([]string{b.trafficProgram}, args...)...)
	if err != nil {
		return figures{}, err
	}
	var f figures
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		return figures{}, fmt.Errorf("%v: %q: %w", args, out, err)
	}
	return f, nil
}

// route is a way that traffic takes.
type route struct {
	subject, measurement string
	from                 *netns.Namespace
	address              string
}

// traffic is streams and round trips between two containers, and to the host.
func (b *bench) traffic(ctx context.Context, p *result.Part) (err error) {
	p.Notes = []string{"One TCP stream, its ends on a processor each; one byte to and fro by TCP, both ends on one processor; congestion control is reno for all. " +
		"The bare bridge has nothing of any tool; Patchbay's network has isolation and anti-spoofing on, as is the default, and lets containers reach services of the host at its gateway (`host-access=gateway`). " +
		"The bare bridge is measured under two names: other differences are worth as much as that one lets them."}
	var closers []func() error
	defer func() {
		for _, c := range closers {
			err = errors.Join(err, c())
		}
	}()
	routes, closeBridge, err := b.bareRoutes(ctx)
	if err != nil {
		return err
	}
	closers = append(closers, closeBridge)
	faults := b.absent(goal.Podman, goal.Docker)
	for _, e := range b.keepers() {
		more, closeBoxes, err := b.boxRoutes(ctx, e)
		closers = append(closers, closeBoxes)
		if err != nil {
			b.say("%s: %v", e.Name(), err)
			faults = append(faults, fault(e.Name(), err))
			continue
		}
		routes = append(routes, more...)
	}
	const length, trips = 400 * time.Millisecond, "2000"
	readings := []reading{}
	for _, r := range routes {
		readings = append(readings,
			reading{r.subject, []string{"throughput-" + r.measurement}, func(ctx context.Context) ([]float64, error) {
				f, err := b.client(ctx, r.from, "send", r.address, length.String())
				return []float64{f.BitsPerSecond / 1e9}, err
			}},
			reading{r.subject, []string{"roundtrip-" + r.measurement}, func(ctx context.Context) ([]float64, error) {
				f, err := b.client(ctx, r.from, "bounce", r.address, trips)
				return []float64{f.RoundTrip}, err
			}})
	}
	p.Measurements = []result.Measurement{
		{ID: "throughput-containers", What: goal.Name("throughput-containers"), Unit: "Gbit/s", Higher: true, Series: faults},
		{ID: "throughput-host", What: goal.Name("throughput-host"), Unit: "Gbit/s", Higher: true, Series: faults},
		{ID: "roundtrip-containers", What: goal.Name("roundtrip-containers"), Unit: "µs", Series: faults},
		{ID: "roundtrip-host", What: goal.Name("roundtrip-host"), Unit: "µs", Series: faults},
	}
	return b.read(ctx, b.rounds(25, 6), p.Measurements, readings)
}

// bareRoutes are those over a bridge of the kernel's.
func (b *bench) bareRoutes(ctx context.Context) ([]route, func() error, error) {
	bridge, err := host.NewBridge(ctx)
	if err != nil {
		return nil, nil, err
	}
	stop := []func(){}
	closeAll := func() error {
		for _, s := range stop {
			s()
		}
		return bridge.Close()
	}
	for _, in := range []*netns.Namespace{bridge.Ends[1], bridge.Host} {
		s, err := b.serve(in)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		stop = append(stop, s)
	}
	var routes []route
	for _, name := range []string{goal.Bridge, goal.BridgeAgain} {
		routes = append(routes,
			route{name, "containers", bridge.Ends[0], host.EndAddress(1)},
			route{name, "host", bridge.Ends[0], host.Gateway})
	}
	return routes, closeAll, nil
}

// serve starts a server in a namespace; clients wait until it listens.
func (b *bench) serve(in *netns.Namespace) (stop func(), err error) {
	return host.Background(in, b.trafficProgram, "serve")
}

// boxRoutes are those of an engine's containers.
func (b *bench) boxRoutes(ctx context.Context, e engine.Keeper) ([]route, func() error, error) {
	var undo []func() error
	closeAll := func() (err error) {
		for _, u := range undo {
			err = errors.Join(err, u())
		}
		return err
	}
	var inside []*netns.Namespace
	for _, name := range []string{"sender", "receiver"} {
		in, end, err := b.startServer(ctx, e, engine.Box{Name: name, ReachesHost: true})
		if err != nil {
			return nil, closeAll, err
		}
		undo = append(undo, end)
		inside = append(inside, in)
	}
	stop, err := b.serve(e.Host().Inside())
	if err != nil {
		return nil, closeAll, err
	}
	undo = append(undo, func() error { stop(); return nil })
	address, err := addressOf(ctx, inside[1])
	if err != nil {
		return nil, closeAll, err
	}
	gateway, err := gatewayOf(ctx, inside[0])
	if err != nil {
		return nil, closeAll, err
	}
	return []route{{e.Name(), "containers", inside[0], address}, {e.Name(), "host", inside[0], gateway}}, closeAll, nil
}

// startServer starts a container and serves traffic in its network namespace, until end removes
// both. The server is none of the container's processes: it is in the control group that all other
// ends are in, whose share of the processors is no property of the path (decision 0075).
func (b *bench) startServer(ctx context.Context, e engine.Keeper, box engine.Box) (in *netns.Namespace, end func() error, err error) {
	if err := e.Start(ctx, box); err != nil {
		return nil, nil, err
	}
	undo := []func() error{func() error { return e.Remove(context.WithoutCancel(ctx), box.Name) }}
	end = func() (err error) {
		for _, u := range slices.Backward(undo) {
			err = errors.Join(err, u())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	pid, err := e.Process(ctx, box.Name)
	if err != nil {
		return nil, nil, err
	}
	if in, err = netns.OpenPath(filepath.Join("/proc", fmt.Sprint(pid), "ns/net")); err != nil {
		return nil, nil, err
	}
	undo = append(undo, in.Close)
	stop, err := b.serve(in)
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() error { stop(); return nil })
	return in, end, nil
}

// addressOf is the IPv4 address of a container's first interface.
func addressOf(ctx context.Context, in *netns.Namespace) (string, error) {
	return field(ctx, in, "inet", "ip", "-4", "-oneline", "address", "show", "scope", "global")
}

// address6Of is the IPv6 address of a container's first interface.
func address6Of(ctx context.Context, in *netns.Namespace) (string, error) {
	return field(ctx, in, "inet6", "ip", "-6", "-oneline", "address", "show", "scope", "global")
}

func gatewayOf(ctx context.Context, in *netns.Namespace) (string, error) {
	return field(ctx, in, "via", "ip", "-4", "route", "show", "default")
}

// field is the word behind another in what a program writes, without the length of a
// prefix.
func field(ctx context.Context, in *netns.Namespace, key string, command ...string) (string, error) {
	out, err := host.Output(ctx, in, command...)
	if err != nil {
		return "", err
	}
	words := strings.Fields(out)
	for i, w := range words[:max(0, len(words)-1)] {
		if w == key {
			value, _, _ := strings.Cut(words[i+1], "/")
			return value, nil
		}
	}
	return "", fmt.Errorf("%s: has no %q in %q", strings.Join(command, " "), key, out)
}

// reading is an operation that measures itself and gives a value for each of its
// measurements.
type reading struct {
	subject      string
	measurements []string
	do           func(ctx context.Context) ([]float64, error)
}

// read takes readings in turns, into the measurements.
func (b *bench) read(ctx context.Context, rounds int, measurements []result.Measurement, readings []reading) error {
	values := make([][][]float64, len(readings)) // of each reading: the rounds
	operations := make([]sample.Operation, len(readings))
	for i, r := range readings {
		operations[i] = sample.Operation{Name: r.subject, Do: func(ctx context.Context) error {
			v, err := r.do(ctx)
			if err == nil {
				values[i] = append(values[i], v)
			}
			return err
		}}
	}
	outcomes, err := sample.Turns(ctx, sample.Plan{Rounds: rounds, Pause: pause / 3, Shuffled: true}, operations...)
	if err != nil {
		return err
	}
	for i, r := range readings {
		for column, id := range r.measurements {
			s := result.Series{Subject: r.subject}
			if err := outcomes[i].Err; err != nil {
				s.Fault = err.Error()
				b.say("%s: %s: %v", id, r.subject, err)
			}
			for _, v := range values[i] {
				s.Values = append(s.Values, v[column])
			}
			for j := range measurements {
				if measurements[j].ID == id {
					measurements[j].Series = append(measurements[j].Series, s)
				}
			}
		}
	}
	return nil
}
