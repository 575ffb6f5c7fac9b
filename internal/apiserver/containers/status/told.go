package status

import (
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.dev/patchbay/resource"
)

// askedAtOnce bounds the helpers that AskOldest asks at a time.
const askedAtOnce = 32

// Told is what a helper said when it was asked last.
type Told struct {
	At      time.Time // zero: never asked
	PID     int       // of the main process
	Faults  []string
	Message string // why there was no answer
}

// Remember keeps of an answer what is not known without asking.
func Remember(s resource.ContainerStatus) Told {
	return Told{At: time.Now(), PID: s.PID, Faults: s.Faults, Message: s.Message}
}

// Complete adds it to what is known of a container that runs.
func (t Told) Complete(known resource.ContainerStatus) resource.ContainerStatus {
	known.PID, known.Faults, known.Message = t.PID, t.Faults, t.Message
	return known
}

// Candidate is a helper that could be asked.
type Candidate struct {
	Died <-chan struct{} // nil: there is nobody to ask
	At   time.Time       // when it was asked last
}

// AskOldest calls ask with the places of all helpers that have died and of those of
// the others, at most most, that have not been asked for the longest time. It asks
// several at once, and returns when all have been.
func AskOldest(all []Candidate, most int, ask func(place int)) {
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for _, place := range toAsk(all, most) {
		group.Go(func() error { ask(place); return nil })
	}
	_ = group.Wait() // none of them fails
}

func toAsk(all []Candidate, most int) []int {
	var dead, alive []int
	for place, c := range all {
		if c.Died == nil {
			continue
		}
		select {
		case <-c.Died:
			dead = append(dead, place)
		default:
			alive = append(alive, place)
		}
	}
	slices.SortStableFunc(alive, func(a, b int) int { return all[a].At.Compare(all[b].At) })
	return append(dead, alive[:min(len(alive), most)]...)
}
