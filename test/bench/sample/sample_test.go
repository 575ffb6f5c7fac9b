package sample

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	var done []string
	note := func(name string) Operation {
		return func(context.Context) error { done = append(done, name); return nil }
	}
	got, err := Turns(t.Context(), 2, 0, note("a"), note("b"))
	if err != nil || len(got) != 2 || len(got[0]) != 2 || len(got[1]) != 2 {
		t.Errorf("got %v, %v, want two series of two", got, err)
	}
	if want := []string{"a", "b", "a", "b", "a", "b"}; !slices.Equal(done, want) {
		t.Errorf("order %v, want %v: one round that does not count, and turns", done, want)
	}
	failure := errors.New("broken")
	if _, err := Turns(t.Context(), 1, 0, func(context.Context) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Turns(ended, 1, time.Hour, note("c")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to end with its context", err)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	s := Series{5, 1, 4, 2, 3}
	if s.Median() != 3 || s.Quantile(0.95) != 5 || s.Quantile(0) != 1 || Series(nil).Median() != 0 {
		t.Errorf("median %d, p95 %d, least %d", s.Median(), s.Quantile(0.95), s.Quantile(0))
	}
	// The middle of the ratios, not the ratio of the middles.
	if got := Ratio(Series{10, 40, 90}, Series{10, 20, 30}); got != 2 {
		t.Errorf("ratio %v, want 2", got)
	}
	if got := Ratio(nil, Series{1}); got != 0 {
		t.Errorf("ratio of nothing: %v", got)
	}
}
