// Package sample times operations that take turns.
package sample

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	// Shuffled has each round go in an order of its own, the same in every run, so that no
	// operation comes behind the same one or at the same place more often than others. It is for operations that do
	// not build on one another.
	Shuffled bool
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
		for _, i := range plan.order(round, len(operations)) {
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

// order is that of so many operations in a round.
func (p Plan) order(round, operations int) []int {
	if p.Shuffled {
		return rand.New(rand.NewPCG(0, uint64(round))).Perm(operations)
	}
	all := make([]int, operations)
	for i := range all {
		all[i] = i
	}
	return all
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
