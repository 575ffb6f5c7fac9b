// Package inturn chooses whom a list asks. Processes tell what changes by themselves, so
// that a list of thousands asks few: those of whom something is not known, and of the
// others some in turn, for nothing else shows that one does not answer any more.
package inturn

import (
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// atOnce bounds the processes that are asked at a time while somebody waits.
	atOnce = 32
	// inRound bounds those that are asked, one after the other, while nobody does: each of them
	// wakes from memory that has gone cold, for milliseconds of a processor.
	inRound = 4
)

// Candidate is a process that could be asked.
type Candidate struct {
	Skip  bool // there is nobody to ask
	Must  bool // it is asked in any case
	Heard time.Time
}

// Rounds asks for the lists of processes of one kind. It is safe for concurrent use.
type Rounds struct {
	most     int
	beside   func(f func())
	underway atomic.Bool // a round that no list waits for
}

// NewRounds returns Rounds in which a list waits for at most most processes that need not be
// asked. beside runs a function that nobody waits for, or does not.
func NewRounds(most int, beside func(f func())) *Rounds { return &Rounds{most: most, beside: beside} }

// Ask calls ask with the places of all that must be asked, and returns when they have
// been. So it does with the others where they are few. Of many most would be left out in any
// case: then nobody waits, check is called beside the list with the places of some, of those
// that have not been heard for the longest time, and what comes of it is for later lists. Of such
// rounds there is one at a time.
func (r *Rounds) Ask(all []Candidate, ask, check func(place int)) {
	must, may := choose(all)
	if len(may) <= r.most {
		must, may = append(must, may...), nil
	}
	if len(may) > 0 && r.underway.CompareAndSwap(false, true) {
		r.beside(func() {
			defer r.underway.Store(false)
			for _, place := range may[:min(r.most, inRound)] {
				check(place)
			}
		})
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, place := range must {
		group.Go(func() error { ask(place); return nil })
	}
	_ = group.Wait() // none of them fails
}

// choose returns the places of those that must be asked, and of the others, those first that
// have not been heard for the longest time.
func choose(all []Candidate) (must, may []int) {
	for place, c := range all {
		switch {
		case c.Skip:
		case c.Must:
			must = append(must, place)
		default:
			may = append(may, place)
		}
	}
	slices.SortStableFunc(may, func(a, b int) int { return all[a].Heard.Compare(all[b].Heard) })
	return must, may
}
