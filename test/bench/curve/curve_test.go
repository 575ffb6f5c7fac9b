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

// Both ways count for a level, whichever of them was slower.
func TestSet(t *testing.T) {
	t.Parallel()
	var s Set
	s.Add("start", 0, false, 10)
	s.Add("start", 0, false, 20)
	s.Add("list", 0, false, 1)
	s.Add("start", 100, false, 30)
	s.Add("start", 100, true, 50)
	s.Add("start", 0, true, 30)
	want := []*Curve{
		{
			Name: "start",
			Up:   []Point{{0, []time.Duration{10, 20}}, {100, []time.Duration{30}}},
			Down: []Point{{100, []time.Duration{50}}, {0, []time.Duration{30}}},
		},
		{Name: "list", Up: []Point{{0, []time.Duration{1}}}},
	}
	if diff := cmp.Diff(want, s.Curves); diff != "" {
		t.Fatalf("curves (-want +got):\n%s", diff)
	}
	levels := []Point{{0, []time.Duration{10, 20, 30}}, {100, []time.Duration{30, 50}}}
	if diff := cmp.Diff(levels, s.Curves[0].Levels()); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if got := s.Curves[0].Growth(); got != 2 {
		t.Errorf("growth = %v, want 2", got)
	}
	if got := s.Curves[1].Growth(); got != 0 {
		t.Errorf("growth of one level = %v, want 0: there is nothing to compare", got)
	}
}
