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
	note := func(what string) Step {
		return func(context.Context) error { done = append(done, what); return nil }
	}
	got, err := Turns(t.Context(), Plan{Rounds: 2, Warm: true},
		Operation{Name: "a", Before: note("make"), Do: note("a"), After: note("remove")},
		Operation{Name: "b", Do: note("b")})
	if err != nil || len(got) != 2 || got[0].Name != "a" || len(got[0].Times) != 2 || len(got[1].Times) != 2 {
		t.Errorf("got %v, %v, want two outcomes of two rounds", got, err)
	}
	want := slices.Repeat([]string{"make", "a", "remove", "b"}, 3)
	if !slices.Equal(done, want) {
		t.Errorf("order %v, want %v: one round that does not count, and turns", done, want)
	}
}

// Each of two operations is the first one of every other round; times stay with their rounds.
func TestTurnsInReverse(t *testing.T) {
	t.Parallel()
	var done []string
	operation := func(name string) Operation {
		return Operation{Name: name, Do: func(context.Context) error { done = append(done, name); return nil }}
	}
	got, err := Turns(t.Context(), Plan{Rounds: 3, Reverse: true}, operation("a"), operation("b"))
	if err != nil || got[0].Name != "a" || len(got[0].Times) != 3 || len(got[1].Times) != 3 {
		t.Errorf("got %v, %v, want a and b with three times each", got, err)
	}
	if want := []string{"a", "b", "b", "a", "a", "b"}; !slices.Equal(done, want) {
		t.Errorf("order %v, want %v", done, want)
	}
}

// What fails is left out from then on, and costs the others nothing.
func TestTurnsOfWhatFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("broken")
	calls, removals := 0, 0
	got, err := Turns(t.Context(), Plan{Rounds: 3},
		Operation{Name: "bad", Do: func(context.Context) error {
			if calls++; calls == 2 {
				return failure
			}
			return nil
		}, After: func(context.Context) error { removals++; return nil }},
		Operation{Name: "good", Do: func(context.Context) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if bad := got[0]; !errors.Is(bad.Err, failure) || len(bad.Times) != 1 || calls != 2 || removals != 2 {
		t.Errorf("bad: %v after %d calls and %d removals, want one time, the error and no further call", bad, calls, removals)
	}
	if good := got[1]; good.Err != nil || len(good.Times) != 3 {
		t.Errorf("good: %v, want three times", good)
	}
}

func TestTurnsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Turns(ended, Plan{Rounds: 1, Pause: time.Hour}, Operation{}); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: got %v, want it to end with its context", err)
	}
	during, stop := context.WithCancel(t.Context())
	_, err := Turns(during, Plan{Rounds: 1}, Operation{Do: func(context.Context) error { stop(); return errors.New("killed") }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("doing: got %v, want that of its context", err)
	}
}
