package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/test/bench/curve"
)

func hosts() (full, empty *probe) {
	return &probe{world: world{runRoot: "full"}, full: true}, &probe{world: world{runRoot: "empty"}}
}

// Each step is done on one host and at once on the other, in the order of the turn.
func TestTurnGoesFromHostToHost(t *testing.T) {
	t.Parallel()
	full, empty := hosts()
	for name, tt := range map[string]struct {
		order []*probe
		want  string
	}{
		"the full one first":  {[]*probe{full, empty}, "a full, a empty, b full, b empty, a full, a empty, b full, b empty"},
		"the empty one first": {[]*probe{empty, full}, "a empty, a full, b empty, b full, a empty, a full, b empty, b full"},
	} {
		var done []string
		note := func(operation string) step {
			return step{operation, func(p *probe) error { done = append(done, operation+" "+p.runRoot); return nil }}
		}
		turn := turn{probes: tt.order, now: time.Now}
		turn.do(2, note("a"), note("b"))
		if got := strings.Join(done, ", "); got != tt.want || turn.err != nil {
			t.Errorf("%s: done %s, %v, want %s", name, got, turn.err, tt.want)
		}
	}
}

// A time belongs to its host, whichever comes first; what is prepared is not timed, and what is done
// several times has its median.
func TestTurnKeepsTimesApart(t *testing.T) {
	t.Parallel()
	full, empty := hosts()
	for _, order := range [][]*probe{{full, empty}, {empty, full}} {
		var clock time.Time
		times := map[*probe][]time.Duration{full: {7, 900, 5}, empty: {2, 1, 3}}
		turn := turn{probes: order, now: func() time.Time { return clock }}
		turn.do(3, step{do: func(*probe) error { clock = clock.Add(time.Hour); return nil }}, step{"a", func(p *probe) error {
			clock = clock.Add(times[p][0])
			times[p] = times[p][1:]
			return nil
		}})
		if want := []timing{{"a", curve.Pair{Full: 7, Empty: 2}}}; !slices.Equal(turn.out, want) {
			t.Errorf("got %v, want %v", turn.out, want)
		}
	}
}

func TestTurnEndsWithItsFirstFault(t *testing.T) {
	t.Parallel()
	full, empty := hosts()
	broken := errors.New("broken")
	var done []string
	turn := turn{probes: []*probe{full, empty}, now: time.Now}
	turn.do(3, step{"a", func(p *probe) error {
		done = append(done, p.runRoot)
		if !p.full {
			return broken
		}
		return nil
	}})
	turn.do(1, step{"b", func(p *probe) error { done = append(done, "b"); return nil }})
	if !errors.Is(turn.err, broken) || !strings.Contains(turn.err.Error(), "a on the host of empty") {
		t.Errorf("got %v, want the error with its step and host", turn.err)
	}
	if !slices.Equal(done, []string{"full", "empty"}) || len(turn.out) != 0 {
		t.Errorf("done %v, kept %v, want nothing after the fault", done, turn.out)
	}
}

// Rounds are paired: the mean of two turns is one pair of a curve.
func TestMerged(t *testing.T) {
	t.Parallel()
	c := &climb{}
	c.keepRound(100, true, []timing{{"a", curve.Pair{Full: 10, Empty: 4}}, {"b", curve.Pair{Full: 1, Empty: 1}}}, []timing{{"a", curve.Pair{Full: 20, Empty: 8}}, {"b", curve.Pair{Full: 3, Empty: 1}}})
	if got, want := c.curves.Curves[0].Down[0], (curve.Pair{Full: 15, Empty: 6}); got.Beside != 100 || got.Pairs[0] != want {
		t.Errorf("a: %v, want %v beside 100", got, want)
	}
	if got, want := c.curves.Curves[1].Down[0].Pairs[0], (curve.Pair{Full: 2, Empty: 1}); got != want {
		t.Errorf("b: %v, want %v", got, want)
	}
}
