package result

import (
	"math/rand/v2"
	"testing"
)

func TestInterval(t *testing.T) {
	t.Parallel()
	same := Series{Values: []float64{2, 2, 2, 2, 2}}
	rising, doubled := Series{Values: []float64{1, 2, 4, 8, 16}}, Series{Values: []float64{2, 4, 8, 16, 32}}
	tests := map[string]struct {
		m       Measurement
		s       Series
		base    *Series
		want    Interval
		without bool
	}{
		"of a median":                         {s: same, want: Interval{2, 2}},
		"of a median that varies":             {s: rising, want: Interval{1, 16}},
		"rounds that belong together":         {s: doubled, base: &rising, want: Interval{2, 2}},
		"as far as both go":                   {s: Series{Values: append(doubled.Values[:5:5], 1000)}, base: &rising, want: Interval{2, 2}},
		"rounds that do not":                  {m: Measurement{Unpaired: true}, s: doubled, base: &rising, want: Interval{0.25, 16}},
		"too few rounds":                      {s: Series{Values: same.Values[:4]}, without: true},
		"too few of the base":                 {s: same, base: &Series{Values: []float64{1}}, without: true},
		"too few of what does not go by pair": {m: Measurement{Unpaired: true}, s: same, base: &Series{Values: []float64{1}}, without: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := tt.m.Interval(tt.s, tt.base)
			if ok == tt.without || got != tt.want {
				t.Errorf("got %v, %v, want %v, %v", got, ok, tt.want, !tt.without)
			}
		})
	}
}

// Of runs of what is known, the interval has to have the true ratio in about 95 of 100.
func TestIntervalHoldsTheTruth(t *testing.T) {
	t.Parallel()
	const runs, rounds, truth = 200, 25, 1.5
	chance := rand.New(rand.NewPCG(1, 2))
	held := 0
	for range runs {
		var s, base Series
		for range rounds {
			machine := 1 + chance.Float64()
			base.Values = append(base.Values, machine)
			s.Values = append(s.Values, truth*machine*(0.8+0.4*chance.Float64()))
		}
		if got, _ := (Measurement{}).Interval(s, &base); got.Low <= truth && truth <= got.High {
			held++
		}
	}
	if held < runs*90/100 || held > runs*99/100 {
		t.Errorf("the truth was within %d of %d intervals, want 90 to 99 of 100", held, runs)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	i := Interval{0.9, 1.1}
	for bound, want := range map[float64]bool{0.8: false, 0.9: false, 1: true, 1.1: false, 1.2: false} {
		if i.Open(bound) != want {
			t.Errorf("%v: open %v, want %v", bound, !want, want)
		}
	}
}
