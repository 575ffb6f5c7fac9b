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

// atOnce bounds the processes that are asked at a time.
const atOnce = 32

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

// NewRounds returns Rounds that ask at most most processes for a list, beside those that
// must be asked. beside runs a function that nobody waits for, or does not.
func NewRounds(most int, beside func(f func())) *Rounds { return &Rounds{most: most, beside: beside} }

// Ask calls ask with the places of all that must be asked, and returns when they have
// been. Of the others it asks those that have not been heard for the longest time. If there are no
// more of them than a list asks, that is a part of the answer too. Else most of them are left out in
// any case, and nobody waits for the few: check is called with their places beside the list,
// and what comes of it is for the next one. Of such rounds there is one at a time.
func (r *Rounds) Ask(all []Candidate, ask, check func(place int)) {
	must, may := choose(all)
	if len(may) <= r.most {
		must, may = append(must, may...), nil
	}
	if len(may) > 0 && r.underway.CompareAndSwap(false, true) {
		r.beside(func() {
			defer r.underway.Store(false)
			each(may[:r.most], check)
		})
	}
	each(must, ask)
}

// each calls f with each place, several at once.
func each(places []int, f func(place int)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, place := range places {
		group.Go(func() error { f(place); return nil })
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
