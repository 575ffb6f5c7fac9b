package backoff

import (
	"slices"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	t.Parallel()
	const ms, s = time.Millisecond, time.Second
	for name, test := range map[string]struct {
		lives []time.Duration
		want  []time.Duration
	}{
		"dies at once":             {lives: []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0}, want: []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10 * s, 10 * s}},
		"is killed every 5 s":      {lives: []time.Duration{5 * s, 5 * s, 5 * s, 5 * s}, want: []time.Duration{100 * ms, 100 * ms, 100 * ms, 100 * ms}},
		"recovers after the worst": {lives: []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 9 * s, 10 * s}, want: []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10 * s, 10 * s, 100 * ms}},
		"serves, but not for long": {lives: []time.Duration{0, 1 * s, 3 * s, 5 * s}, want: []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []time.Duration
			next := First
			for _, life := range test.lives {
				waited := next.AfterLife(life)
				got = append(got, time.Duration(waited))
				next = waited.Next()
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
