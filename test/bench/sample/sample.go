// Package sample times operations that take turns.
package sample

import (
	"context"
	"fmt"
	"time"
)

// Step is a part of an operation.
type Step func(ctx context.Context) error

// Operation is what is timed.
type Operation struct {
	Name   string
	Before Step // makes it ready, not timed; may be nil
	Do     Step // timed
	After  Step // takes away what the others made, not timed; may be nil
}

// Outcome is what became of one operation.
type Outcome struct {
	Name  string
	Times []time.Duration // a round each, from the first one on
	Err   error           // why there are none after the last of Times; nil: all rounds were done
}

// Plan is how often operations are done.
type Plan struct {
	Rounds int
	Warm   bool          // one round more before the others, which does not count, for what is done for the first time alone
	Pause  time.Duration // before each operation, so that what another leaves to be done in the background does not meet it
	// Reverse has every other round go the other way round, so that no operation always comes
	// behind the same one. It is for operations that do not build on one another.
	Reverse bool
}

// Turns does the operations in turns. One that fails is left out of later rounds and
// has its error in its outcome. The end of the context is an error of the whole.
func Turns(ctx context.Context, plan Plan, operations ...Operation) ([]Outcome, error) {
	out := make([]Outcome, len(operations))
	for i, o := range operations {
		out[i].Name = o.Name
	}
	first := 0
	if plan.Warm {
		first = -1
	}
	for round := first; round < plan.Rounds; round++ {
		for place := range operations {
			i := plan.at(round, place, len(operations))
			if out[i].Err != nil {
				continue
			}
			if err := wait(ctx, plan.Pause); err != nil {
				return nil, err
			}
			took, err := operations[i].once(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				out[i].Err = fmt.Errorf("round %d: %w", round+1, err)
			} else if round >= 0 {
				out[i].Times = append(out[i].Times, took)
			}
		}
	}
	return out, nil
}

// at is which of so many operations has a place in the order of a round.
func (p Plan) at(round, place, operations int) int {
	if p.Reverse && round%2 != 0 {
		return operations - 1 - place
	}
	return place
}

// once does it once. What Before made is taken away also where Do fails.
func (o Operation) once(ctx context.Context) (time.Duration, error) {
	if o.Before != nil {
		if err := o.Before(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	err := o.Do(ctx)
	took := time.Since(began)
	if o.After != nil {
		if e := o.After(ctx); err == nil {
			err = e
		}
	}
	return took, err
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
