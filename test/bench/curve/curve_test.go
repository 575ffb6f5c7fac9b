package curve

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		times []time.Duration
		want  time.Duration
	}{
		"none": {nil, 0},
		"one":  {[]time.Duration{7}, 7},
		"odd":  {[]time.Duration{9, 1, 5}, 5},
		"even": {[]time.Duration{8, 2, 4, 100}, 6},
	} {
		before := append([]time.Duration(nil), tt.times...)
		if got := Median(tt.times); got != tt.want {
			t.Errorf("%s: median = %v, want %v", name, got, tt.want)
		}
		if diff := cmp.Diff(before, tt.times); diff != "" {
			t.Errorf("%s: the times were changed:\n%s", name, diff)
		}
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	times := []time.Duration{1, 2, 3, 4, 5, 6, 7}
	for name, tt := range map[string]struct {
		times []time.Duration
		n     int
		want  []Window
	}{
		"even lengths, a shorter last": {times, 3, []Window{{1, 3, 2}, {4, 6, 5}, {7, 7, 7}}},
		"more windows than times":      {times[:2], 10, []Window{{1, 1, 1}, {2, 2, 2}}},
		"one":                          {times, 1, []Window{{1, 7, 4}}},
		"no times":                     {nil, 3, nil},
		"no windows":                   {times, 0, nil},
	} {
		if diff := cmp.Diff(tt.want, Windows(tt.times, tt.n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Both ways count for a level, whichever of them was slower, and the times of a round stay
// together.
func TestSet(t *testing.T) {
	t.Parallel()
	var s Set
	s.Add("start", 0, false, Pair{10, 11})
	s.Add("start", 0, false, Pair{20, 21})
	s.Add("list", 0, false, Pair{1, 1})
	s.Add("start", 100, false, Pair{30, 12})
	s.Add("start", 100, true, Pair{50, 24})
	s.Add("start", 0, true, Pair{30, 29})
	want := []*Curve{
		{
			Name: "start",
			Up:   []Point{{0, []Pair{{10, 11}, {20, 21}}}, {100, []Pair{{30, 12}}}},
			Down: []Point{{100, []Pair{{50, 24}}}, {0, []Pair{{30, 29}}}},
		},
		{Name: "list", Up: []Point{{0, []Pair{{1, 1}}}}},
	}
	if diff := cmp.Diff(want, s.Curves); diff != "" {
		t.Fatalf("curves (-want +got):\n%s", diff)
	}
	levels := []Point{{0, []Pair{{10, 11}, {20, 21}, {30, 29}}}, {100, []Pair{{30, 12}, {50, 24}}}}
	got := s.Curves[0].Levels()
	if diff := cmp.Diff(levels, got); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if full, empty := Median(got[0].Full()), Median(got[0].Empty()); full != 20 || empty != 21 {
		t.Errorf("medians %d and %d, want 20 and 21", full, empty)
	}
}

// The ratio is of the rounds: what makes both hosts slower in one of them leaves it as it is.
func TestMeasurement(t *testing.T) {
	t.Parallel()
	p := Point{100, []Pair{{30, 20}, {150, 100}, {9, 6}}}
	m := p.Measurement("full", "empty")
	if got := m.Ratio(m.Of("full"), m.Of("empty")); got != 1.5 {
		t.Errorf("ratio %v, want 1.5", got)
	}
}

func TestMean(t *testing.T) {
	t.Parallel()
	if got, want := Mean(Pair{10, 40}, Pair{20, 20}), (Pair{15, 30}); got != want {
		t.Errorf("mean %v, want %v", got, want)
	}
}
