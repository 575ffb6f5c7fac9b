// Package sample times operations that take turns.
package sample

import (
	"context"
	"slices"
	"time"
)

// Operation is what is timed.
type Operation func(ctx context.Context) error

// Series are the times of one operation, a round each.
type Series []time.Duration

// Turns times the operations in turns, after each has been done once for what is
// done for the first time alone. Between two of them is the pause.
func Turns(ctx context.Context, rounds int, pause time.Duration, operations ...Operation) ([]Series, error) {
	out := make([]Series, len(operations))
	for round := -1; round < rounds; round++ {
		for i, o := range operations {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return nil, ctx.Err()
			}
			began := time.Now()
			if err := o(ctx); err != nil {
				return nil, err
			}
			if round >= 0 {
				out[i] = append(out[i], time.Since(began))
			}
		}
	}
	return out, nil
}

// Quantile is the value that a part of a series, from 0 to 1, does not exceed. An
// empty series has none: 0.
func (s Series) Quantile(part float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// Median is the one in the middle.
func (s Series) Median() time.Duration { return s.Quantile(0.5) }

// Ratio is the median of the ratios of two series, round by round.
func Ratio(s, base Series) float64 {
	ratios := make([]float64, min(len(s), len(base)))
	for i := range ratios {
		ratios[i] = float64(s[i]) / float64(base[i])
	}
	if len(ratios) == 0 {
		return 0
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
