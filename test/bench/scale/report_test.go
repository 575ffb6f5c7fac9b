package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/test/bench/curve"
	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/usage"
)

var update = flag.Bool("update", false, "write the golden file anew")

var operations = []string{
	opStart, opPublish, opConnect, opDisconnect, opResolve, opInspect, opList, opListLine, opLine,
	opNetworkListLine, opNetworkLine, opNetwork, opNetworkDelete, opRemove, opMachine,
}

// drifting are the curves of operations that take 10 ms on an empty host, and growth times that
// on the full one beside the most, on a machine that is slower by the factor drift there, and by half of both
// halfway up and down.
func drifting(growth, drift float64) []*curve.Curve {
	var set curve.Set
	for _, operation := range operations {
		for _, level := range []struct {
			beside int
			down   bool
			part   float64
		}{{0, false, 0}, {100, false, 0.5}, {200, false, 1}, {200, true, 1}, {100, true, 0.5}, {0, true, 0}} {
			for round := range 5 {
				speed := (1 + (drift-1)*level.part) * (1 + 0.1*float64(round))
				at := func(growth float64) time.Duration {
					return time.Duration(float64(10*time.Millisecond) * speed * (1 + (growth-1)*level.part))
				}
				set.Add(operation, level.beside, level.down, curve.Pair{Full: at(growth), Empty: at(1)})
			}
		}
	}
	return set.Curves
}

// All targets about scale are judged by what a run keeps, and what the machine does meanwhile is
// in none of their ratios.
func TestPart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ growth, drift float64 }{
		"nothing grows":                      {1, 1},
		"the machine becomes slower":         {1, 2},
		"it becomes faster, operations grow": {1.5, 0.6},
	} {
		r := report{settings: settings{containers: 200, ports: 2000}, curves: drifting(tt.growth, tt.drift)}
		p := r.part()
		judged := 0
		for _, v := range goal.Judge([]result.Part{p}) {
			if !strings.HasPrefix(v.ID, "scale-") {
				continue // of another run
			}
			judged++
			switch {
			case v.Met == goal.Unknown:
				t.Errorf("%s: %s: unknown: %s", name, v.ID, v.Why)
			case v.Against == "":
			case !near(v.Value, tt.growth) || !near(v.Itself, 1) || !near(v.Alone, tt.drift):
				t.Errorf("%s: %s: %v, %v of itself, %v alone, want %v, 1, %v", name, v.ID, v.Value, v.Itself, v.Alone, tt.growth, tt.drift)
			case v.Range == nil || !near(v.Range.Low, tt.growth) || !near(v.Range.High, tt.growth):
				t.Errorf("%s: %s: range %v, want that of rounds which all have %v", name, v.ID, v.Range, tt.growth)
			}
		}
		if judged != len(p.Measurements) {
			t.Errorf("%s: %d targets judged by %d measurements", name, judged, len(p.Measurements))
		}
	}
}

func near(a, b float64) bool { return a > b*0.999 && a < b*1.001 }

func TestNamed(t *testing.T) {
	t.Parallel()
	r := report{settings: settings{containers: 200, networks: 50, ports: 2000}, curves: drifting(1, 1)}
	for id, want := range map[string]string{
		"scale-start":   "start beside 200 containers",
		"scale-publish": "start with 10 ports beside 2000 of others",
		"scale-network": "create a network beside 50 others",
	} {
		if m, _, _ := result.Find([]result.Part{r.part()}, id); m.What != want {
			t.Errorf("%s: %q, want %q", id, m.What, want)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	sequence := make([]time.Duration, 10)
	for i := range sequence {
		sequence[i] = time.Duration(i+1) * time.Millisecond
	}
	r := report{
		settings: settings{containers: 200, networksEach: 4, networks: 200, ports: 2000, rounds: 8, levels: 2},
		curves:   drifting(1.2, 1.5)[:2], networks: sequence, starts: sequence, removals: sequence, deletions: sequence[:1],
		idle: idle{over: 10 * time.Second, kinds: []kindUse{
			{usage.Daemon, 1, 70 << 20, 70 << 20, 20 * time.Millisecond},
			{usage.Plugin, 203, 3 << 20, 600 << 20, 100 * time.Millisecond},
		}},
	}
	const path = "testdata/tables.md"
	_, got, _ := strings.Cut(r.tables(), "\n\n") // the first line is about this machine
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("tables (-want +got), -update to take them over after a look at them:\n%s", diff)
	}
}

// A picture has both ways of the host that fills, and the empty one's medians at each level.
func TestPanels(t *testing.T) {
	t.Parallel()
	r := report{settings: settings{containers: 200}, curves: drifting(2, 1)[:1]}
	lines := r.panels()[0].Lines
	if len(lines) != 3 {
		t.Fatalf("%d lines, want three", len(lines))
	}
	for i, want := range [][]float64{{12, 18, 24}, {24, 18, 12}, {12, 12, 12}} {
		var got []float64
		for _, p := range lines[i].Points {
			got = append(got, p.Y)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", lines[i].Name, diff)
		}
	}
}
