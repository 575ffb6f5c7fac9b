// Package inturn chooses whom a list asks. Processes tell what changes by themselves, so
// that a list of thousands asks few: those of whom something is not known, and of the
// others some in turn, for nothing else shows that one does not answer any more.
package inturn

import (
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// atOnce bounds the processes that Ask asks at a time.
const atOnce = 32

// Candidate is a process that could be asked.
type Candidate struct {
	Skip  bool // there is nobody to ask
	Must  bool // it is asked in any case
	Heard time.Time
}

// Ask calls ask with the places of all that must be asked and of those of
// the others, at most most, that have not been heard for the longest time. It asks
// several at once, and returns when all have been.
func Ask(all []Candidate, most int, ask func(place int)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, place := range toAsk(all, most) {
		group.Go(func() error { ask(place); return nil })
	}
	_ = group.Wait() // none of them fails
}

func toAsk(all []Candidate, most int) []int {
	var must, may []int
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
	return append(must, may[:min(len(may), most)]...)
}
