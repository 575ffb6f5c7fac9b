package goal

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"patchbay.dev/patchbay/test/bench/result"
)

func measured(id string, series ...result.Series) []result.Part {
	return []result.Part{{Measurements: []result.Measurement{{ID: id, What: "what it is", Series: series}}}}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	ours, theirs := result.Series{Subject: Patchbay, Values: []float64{10, 40, 90}}, result.Series{Subject: Podman, Values: []float64{10, 20, 30}}
	tests := map[string]struct {
		target Target
		parts  []result.Part
		met    State
		value  float64
		why    string
	}{
		"ratio round by round":    {Target{ID: "x", Against: Podman, Bound: 2}, measured("x", ours, theirs), Met, 2, ""},
		"over the most":           {Target{ID: "x", Against: Podman, Bound: 1.9}, measured("x", ours, theirs), Missed, 2, ""},
		"under the least":         {Target{ID: "x", Against: Podman, Bound: 2.1, Least: true}, measured("x", ours, theirs), Missed, 2, ""},
		"at the least":            {Target{ID: "x", Against: Podman, Bound: 2, Least: true}, measured("x", ours, theirs), Met, 2, ""},
		"the value itself":        {Target{ID: "x", Bound: 39}, measured("x", ours), Missed, 40, ""},
		"another subject":         {Target{ID: "x", Subject: Podman, Bound: 20}, measured("x", ours, theirs), Met, 20, ""},
		"lost in the noise":       {Target{ID: "x", Bound: 1}, measured("x", result.Series{Subject: Patchbay, Values: []float64{-3, -1, 2}}), Unknown, 0, "the difference is smaller than what the machine's speed did meanwhile"},
		"not measured":            {Target{ID: "y", Bound: 1}, measured("x", ours), Unknown, 0, "not measured"},
		"peer is not there":       {Target{ID: "x", Against: Docker, Bound: 1}, measured("x", ours), Unknown, 0, "docker: not measured"},
		"peer failed":             {Target{ID: "x", Against: Docker, Bound: 1}, measured("x", ours, result.Series{Subject: Docker, Fault: "no overlayfs"}), Unknown, 0, "docker: no overlayfs"},
		"Patchbay failed":         {Target{ID: "x", Bound: 1}, measured("x", result.Series{Subject: Patchbay, Fault: "broken"}), Unknown, 0, "patchbay: broken"},
		"one that failed halfway": {Target{ID: "x", Against: Podman, Bound: 1}, measured("x", ours, result.Series{Subject: Podman, Values: []float64{10}, Fault: "broken"}), Met, 1, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tt.target.judge(tt.parts)
			if got.Met != tt.met || got.Value != tt.value || got.Why != tt.why {
				t.Errorf("got %s, %v, %q, want %s, %v, %q", got.Met, got.Value, got.Why, tt.met, tt.value, tt.why)
			}
		})
	}
}

// What is measured under two names is one: the figure is beside the mean of both, round by round.
func TestJudgeBesideTwoNames(t *testing.T) {
	t.Parallel()
	v := Target{ID: "x", Against: Bridge, Bound: 1, Least: true}.judge(measured("x",
		result.Series{Subject: Patchbay, Values: []float64{4, 6, 12}},
		result.Series{Subject: Bridge, Values: []float64{1, 4, 9}},
		result.Series{Subject: BridgeAgain, Values: []float64{4, 9, 16}}))
	if v.Value != 1 || v.Itself != 9./4 || v.Met != Met {
		t.Errorf("got ratio %v, %v of itself, %s, want 1, 2.25, %s", v.Value, v.Itself, v.Met, Met)
	}
}

// A figure beside many is one beside an empty host in the same rounds; what both hosts do that are
// alike, and what the empty one does by itself, is shown with it.
func TestJudgeBesideAnEmptyHost(t *testing.T) {
	t.Parallel()
	v := Target{ID: "x", Against: Empty, Bound: 1.2}.judge(measured("x",
		result.Series{Subject: Patchbay, Values: []float64{14, 28}}, result.Series{Subject: Empty, Values: []float64{10, 20}},
		result.Series{Subject: First, Values: []float64{10, 15}}, result.Series{Subject: EmptyFirst, Values: []float64{8, 12}}))
	if v.Value != 1.4 || v.Itself != 1.25 || v.Met != Missed {
		t.Errorf("got ratio %v, %v of itself, %s, want 1.4, 1.25, %s", v.Value, v.Itself, v.Met, Missed)
	}
	if v.Alone != 1.5 {
		t.Errorf("the empty host alone: %v of before and after, want 1.5", v.Alone)
	}
}

// A verdict that another run as good may change says so.
func TestJudgeOpen(t *testing.T) {
	t.Parallel()
	parts := measured("x", result.Series{Subject: Patchbay, Values: []float64{8, 9, 10, 11, 12}}, result.Series{Subject: Podman, Values: []float64{10, 10, 10, 10, 10}})
	for bound, open := range map[float64]bool{0.7: false, 0.95: true, 1.05: true, 1.3: false} {
		v := Target{ID: "x", Against: Podman, Bound: bound}.judge(parts)
		if v.Open() != open {
			t.Errorf("bound %v: open %v, want %v (%v, %v)", bound, v.Open(), open, v.Value, v.Range)
		}
	}
	few := Target{ID: "x", Against: Podman, Bound: 1}.judge(measured("x", result.Series{Subject: Patchbay, Values: []float64{1}}, result.Series{Subject: Podman, Values: []float64{1}}))
	if few.Range != nil || few.Open() {
		t.Errorf("one round: range %v, open %v, want none", few.Range, few.Open())
	}
}

func TestJudgeAll(t *testing.T) {
	t.Parallel()
	got := Judge(nil)
	if len(got) != len(Targets) {
		t.Fatalf("%d verdicts, want one for each of %d targets", len(got), len(Targets))
	}
	for _, v := range got {
		if v.Met != Unknown || v.Why == "" || v.What == "" {
			t.Errorf("%s: %s, want it unknown, with a name and the reason", v.ID, v.Met)
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    Verdict
		want float64
	}{
		{Verdict{Target: Target{Bound: 4}, Value: 2, Met: Met}, 0.5},
		{Verdict{Target: Target{Bound: 4, Least: true}, Value: 2, Met: Missed}, 2},
		{Verdict{Target: Target{Bound: 4}, Met: Unknown}, 0},
	} {
		if got := tt.v.Share(); got != tt.want {
			t.Errorf("%+v: share %v, want %v", tt.v, got, tt.want)
		}
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v         Verdict
		low, high float64
	}{
		{Verdict{Target: Target{Bound: 4}, Value: 2, Range: &result.Interval{Low: 1, High: 8}, Met: Met}, 0.25, 2},
		{Verdict{Target: Target{Bound: 4, Least: true}, Value: 2, Range: &result.Interval{Low: 1, High: 8}, Met: Missed}, 0.5, 4},
		{Verdict{Target: Target{Bound: 4}, Value: 2, Range: &result.Interval{Low: -1, High: 8}, Met: Met}, 0.5, 0.5},
		{Verdict{Target: Target{Bound: 4}, Value: 2, Met: Met}, 0.5, 0.5},
	} {
		if low, high := tt.v.Shares(); low != tt.low || high != tt.high {
			t.Errorf("%+v: %v to %v, want %v to %v", tt.v, low, high, tt.low, tt.high)
		}
	}
}

func TestObstacle(t *testing.T) {
	t.Parallel()
	const page = "# Title\n\n## a\n\nOne line\nand [another](../../../docs/a.md).\n\n## b\n"
	for id, want := range map[string]string{"a": "One line and [another](a.md).", "b": "", "c": ""} {
		if got := obstacle(page, id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// A heading that names no measurement of a target would never be shown.
func TestObstaclesNameTargets(t *testing.T) {
	t.Parallel()
	headings := regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(obstacles, -1)
	if len(headings) == 0 {
		t.Error("no heading found")
	}
	for _, h := range headings {
		if !slices.ContainsFunc(Targets, func(t Target) bool { return t.ID == strings.TrimSpace(h[1]) }) {
			t.Errorf("heading %q: names no measurement of a target", h[1])
		}
		if Obstacle(h[1]) == "" {
			t.Errorf("heading %q: has no text", h[1])
		}
	}
}
