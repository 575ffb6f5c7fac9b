package status

import (
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/resource"
)

// askedAtOnce bounds the helpers that AskOldest asks at a time.
const askedAtOnce = 32

// Told is what is known of a container by what its helper said.
type Told struct {
	// Followed says that the helper tells each change as it happens, and all but the
	// Message is as it is now.
	Followed bool
	At       time.Time // when the helper was heard last; zero: never
	PID      int       // of the main process
	Faults   []string
	Message  string // why there was no answer when it was asked last
	// Ended is set when the main process has ended.
	Ended *disk.Exit
}

// Hear is what is known then when a helper that is followed has told a state; nil: it
// is no longer heard.
func (t Told) Hear(state *sandboxv1.StateResponse) Told {
	if state == nil {
		t.Followed = false
		return t
	}
	return Told{Followed: true, At: time.Now(), PID: int(state.GetPid()), Faults: state.GetFaults(), Ended: endOf(state)}
}

// Remember is what is known then when a helper was asked, of which s came. What it
// tells by itself is never older than an answer.
func (t Told) Remember(s resource.ContainerStatus) Told {
	t.At, t.Message = time.Now(), s.Message
	if !t.Followed {
		t.PID, t.Faults = s.PID, s.Faults
	}
	return t
}

// Complete adds it to what else is known of a container that runs.
func (t Told) Complete(known resource.ContainerStatus) resource.ContainerStatus {
	if t.Ended != nil {
		ended := Ended(t.Ended)
		ended.StartedAt = known.StartedAt
		return ended
	}
	known.PID, known.Faults, known.Message = t.PID, t.Faults, t.Message
	return known
}

// Candidate is a helper that could be asked.
type Candidate struct {
	Died     <-chan struct{} // nil: there is nobody to ask
	Followed bool
	At       time.Time // when it was heard last
}

// AskOldest calls ask with the places of all helpers that have died and of others, at
// most most: those first that are not followed, and then those that have not been
// heard for the longest time. It asks several at once, and returns when all have been.
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
	slices.SortStableFunc(alive, func(a, b int) int {
		if all[a].Followed != all[b].Followed {
			if all[b].Followed {
				return -1
			}
			return 1
		}
		return all[a].At.Compare(all[b].At)
	})
	return append(dead, alive[:min(len(alive), most)]...)
}
