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

// Each operation is done once in a round and behind any other one about as often; times stay with their
// operations.
func TestTurnsShuffled(t *testing.T) {
	t.Parallel()
	const rounds, names = 600, "abc"
	var done []byte
	var all []Operation
	for _, name := range names {
		all = append(all, Operation{Name: string(name), Do: func(context.Context) error { done = append(done, byte(name)); return nil }})
	}
	got, err := Turns(t.Context(), Plan{Rounds: rounds, Shuffled: true}, all...)
	if err != nil || got[0].Name != "a" || len(got[0].Times) != rounds || len(got[2].Times) != rounds {
		t.Fatalf("got %v, %v, want %d times of each", got, err, rounds)
	}
	orders := map[string]int{}
	for round := range slices.Chunk(done, len(names)) {
		orders[string(round)]++
	}
	if len(orders) != 6 {
		t.Errorf("orders of rounds: %v, want all six", orders)
	}
	for order, n := range orders {
		if n < rounds/12 || n > rounds/3 {
			t.Errorf("%d rounds of %d are %s, want about a sixth", n, rounds, order)
		}
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
