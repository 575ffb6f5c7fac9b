package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/test/bench/goal"
	"patchbay.dev/patchbay/test/bench/result"
	"patchbay.dev/patchbay/test/bench/sample"
)

func quiet() *bench { return &bench{progress: io.Discard} }

// A subject that fails is in the results with the values that it has and the reason,
// beside those of the others.
func TestTurns(t *testing.T) {
	t.Parallel()
	calls := 0
	got, err := quiet().turns(t.Context(), sample.Plan{Rounds: 2}, []result.Measurement{{ID: "a"}, {ID: "b"}}, []entry{
		{"a", sample.Operation{Name: "good", Do: func(context.Context) error { return nil }}},
		{"b", sample.Operation{Name: "good", Do: func(context.Context) error { return nil }}},
		{"a", sample.Operation{Name: "bad", Do: func(context.Context) error {
			if calls++; calls > 1 {
				return errors.New("broke")
			}
			return nil
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b := got[0], got[1]
	if len(a.Of("good").Values) != 2 || len(b.Of("good").Values) != 2 || len(b.Series) != 1 {
		t.Errorf("good: %+v, want two values in each", got)
	}
	if bad := a.Of("bad"); len(bad.Values) != 1 || bad.Fault != "round 2: broke" {
		t.Errorf("bad: %+v, want one value and the reason", bad)
	}
}

// The values of one reading stay together, and with those of its round.
func TestRead(t *testing.T) {
	t.Parallel()
	measurements := []result.Measurement{{ID: "requests"}, {ID: "p99"}}
	round := 0.0
	err := quiet().read(t.Context(), 2, measurements, []reading{
		{"patchbay", []string{"requests", "p99"}, func(context.Context) ([]float64, error) { round++; return []float64{round, -round}, nil }},
		{"podman", []string{"requests", "p99"}, func(context.Context) ([]float64, error) { return nil, errors.New("refused") }},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []result.Measurement{
		{ID: "requests", Series: []result.Series{{Subject: "patchbay", Values: []float64{1, 2}}, {Subject: "podman", Fault: "round 1: refused"}}},
		{ID: "p99", Series: []result.Series{{Subject: "patchbay", Values: []float64{-1, -2}}, {Subject: "podman", Fault: "round 1: refused"}}},
	}
	if diff := cmp.Diff(want, measurements); diff != "" {
		t.Errorf("measurements (-want +got):\n%s", diff)
	}
}

func TestThirds(t *testing.T) {
	t.Parallel()
	if got := thirds([]float64{70, 85, 9}, []float64{40, 55}); !slices.Equal(got, []float64{10, 10}) {
		t.Errorf("got %v, want 10 for each round that both have", got)
	}
}

// A burst ends with its last container, and one that fails does not hide another.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	var done atomic.Int64
	bad := errors.New("bad")
	worse := errors.New("worse")
	err := atOnce(t.Context(), []string{"a", "b", "c"}, func(_ context.Context, name string) error {
		done.Add(1)
		return map[string]error{"a": bad, "c": worse}[name]
	})
	if done.Load() != 3 || !errors.Is(err, bad) || !errors.Is(err, worse) {
		t.Errorf("%d done, %v, want three and both errors", done.Load(), err)
	}
}

// All that targets name is a subject of this driver or of the scale run.
func TestSubjectsOfTargets(t *testing.T) {
	t.Parallel()
	known := []string{"", goal.Patchbay, goal.Kernel, goal.Bridge, goal.Direct, goal.Direct6, goal.Empty}
	for _, c := range candidates {
		known = append(known, c.name)
	}
	for _, target := range goal.Targets {
		for _, subject := range []string{target.Subject, target.Against} {
			if !slices.Contains(known, subject) {
				t.Errorf("%s: %q is measured by nobody", target.ID, subject)
			}
		}
	}
}
