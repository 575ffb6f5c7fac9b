package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"patchbay.dev/patchbay/internal/client/apiclient"
	"patchbay.dev/patchbay/test/bench/attach"
	"patchbay.dev/patchbay/test/bench/engine"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/host"
	"patchbay.dev/patchbay/test/bench/machine"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/sample"
)

// bench is what is measured.
type bench struct {
	settings
	progress io.Writer
	api      *apiclient.Client
	patchbay engine.Patchbay

	engines  []engine.Engine // those that work, Patchbay and crun among them
	tools    []attach.Tool
	faults   []result.Series // those that do not, with the reason
	hosts    []*host.Host
	versions []string
	first    *host.Precedence // of the ends of traffic; nil: none
}

// part is one part of a run.
type part struct {
	name    string
	measure func(*bench, context.Context, *result.Part) error
	// ends says that what sends and what answers are processes of the bench, which come before all others.
	ends bool
}

// parts are all of them, in the order in which they are measured. Those whose figures
// are the smallest come first, while nothing has been done yet.
var parts = []part{
	{name: "starts", measure: (*bench).starts},
	{name: "changes", measure: (*bench).changes},
	{name: "traffic", measure: (*bench).traffic, ends: true},
	{name: "ports", measure: (*bench).ports, ends: true},
	{name: "bursts", measure: (*bench).bursts},
	{name: "idle", measure: (*bench).idle},
}

func partNames() []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return names
}

// open makes all engines ready. What does not work here is left out, with the reason;
// without Patchbay itself there is nothing to measure.
func open(ctx context.Context, s settings, progress io.Writer) (*bench, error) {
	here, err := host.Here(goal.Patchbay, s.outside)
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, progress: progress, hosts: []*host.Host{here}}
	b.api = apiclient.Dial(filepath.Join(s.runRoot, "patchbayd.sock"))
	b.patchbay = engine.Patchbay{At: here, API: b.api}
	if err := b.up(ctx, b.patchbay); err != nil {
		b.close(context.WithoutCancel(ctx))
		return nil, err
	}
	b.invite(ctx)
	if ctx.Err() != nil {
		b.close(context.WithoutCancel(ctx))
		return nil, ctx.Err()
	}
	return b, nil
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.progress, format+"\n", args...) }

func fault(name string, reason error) result.Series {
	return result.Series{Subject: name, Fault: reason.Error()}
}

// up makes an engine ready and sees whether it can start a container at all.
func (b *bench) up(ctx context.Context, e engine.Engine) error {
	b.say("set up %s", e.Name())
	err := e.Up(ctx)
	if r, ok := e.(engine.Runner); ok && err == nil {
		err = r.Run(ctx, r.MostNetworks())
	}
	var version string
	if err == nil {
		version, err = e.Version(ctx)
	}
	if err != nil {
		return errors.Join(err, e.Down(context.WithoutCancel(ctx)))
	}
	b.engines = append(b.engines, e)
	b.addVersion(version)
	return nil
}

func (b *bench) upTool(ctx context.Context, t attach.Tool) error {
	b.say("set up %s", t.Name())
	if err := t.Up(ctx); err != nil {
		return err
	}
	version, err := t.Version(ctx)
	if err != nil {
		return err
	}
	b.tools = append(b.tools, t)
	b.addVersion(version)
	return nil
}

func (b *bench) addVersion(v string) {
	if !slices.Contains(b.versions, v) {
		b.versions = append(b.versions, v)
	}
}

// close takes all down again. The script that started this ends what would be left.
func (b *bench) close(ctx context.Context) {
	for _, e := range slices.Backward(b.engines) {
		if err := e.Down(ctx); err != nil {
			b.say("%s: %v", e.Name(), err)
		}
	}
	for _, h := range b.hosts {
		if err := h.Close(); err != nil {
			b.say("host of %s: %v", h.Name(), err)
		}
	}
	b.api.Close()
}

// measure measures the parts that are wanted and keeps each as soon as it is there.
// When all are wanted those of former runs are forgotten first.
func (b *bench) measure(ctx context.Context) error {
	if len(b.parts) == len(parts) {
		for _, p := range parts {
			if err := os.Remove(filepath.Join(b.results, p.name+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	for _, p := range parts {
		if !slices.Contains(b.parts, p.name) {
			continue
		}
		b.say("measure %s", p.name)
		out := result.Part{Name: p.name, Begun: time.Now(), Load: machine.Load(), Versions: b.versions}
		err := b.one(ctx, p, &out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.say("%s: %v", p.name, err)
			out.Notes = append(out.Notes, "Not all was measured: "+err.Error())
		}
		out.Took = time.Since(out.Begun)
		b.say("measured %s in %v", p.name, out.Took.Round(time.Second))
		if err := result.Save(b.results, out); err != nil {
			return err
		}
	}
	return nil
}

// one measures one part.
func (b *bench) one(ctx context.Context, p part, out *result.Part) (err error) {
	if !p.ends {
		return p.measure(b, ctx, out)
	}
	first, err := host.NewPrecedence(b.cgroup + "-ends")
	if err != nil {
		out.Notes = append(out.Notes, "The ends of traffic have no precedence over other processes: "+err.Error()+".")
		return p.measure(b, ctx, out)
	}
	b.first = first
	defer func() {
		err = errors.Join(err, first.Close())
		b.first = nil
	}()
	return p.measure(b, ctx, out)
}

// rounds are few or many, as the settings say.
func (b *bench) rounds(many, few int) int {
	if b.quick {
		return few
	}
	return many
}

// pause is between two operations that take turns.
const pause = 150 * time.Millisecond

// entry is one operation's place in the results.
type entry struct {
	measurement string // ID
	sample.Operation
}

// turns does the operations and puts their times, in milliseconds, into the
// measurements; whoever could not take part is in them with the reason.
func (b *bench) turns(ctx context.Context, plan sample.Plan, measurements []result.Measurement, entries []entry) ([]result.Measurement, error) {
	operations := make([]sample.Operation, len(entries))
	for i, e := range entries {
		operations[i] = e.Operation
	}
	outcomes, err := sample.Turns(ctx, plan, operations...)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		s := result.Series{Subject: e.Name, Values: result.Milliseconds(outcomes[i].Times)}
		if e := outcomes[i].Err; e != nil {
			s.Fault = e.Error()
			b.say("%s: %v", s.Subject, e)
		}
		for j := range measurements {
			if measurements[j].ID == e.measurement {
				measurements[j].Series = append(measurements[j].Series, s)
			}
		}
	}
	return measurements, nil
}

// absent are the series of those of these names that do not work here.
func (b *bench) absent(names ...string) []result.Series {
	var out []result.Series
	for _, f := range b.faults {
		if slices.Contains(names, f.Subject) {
			out = append(out, f)
		}
	}
	return out
}
