// Package backoff says how long a process that died is left alone before it is
// started again.
package backoff

import (
	"context"
	"time"
)

// Delay is how long to wait after a death: from First to Last, doubling with each
// death.
type Delay time.Duration

const (
	// First is the delay after the first death.
	First = Delay(100 * time.Millisecond)
	// Last is what the delay ends at.
	Last = Delay(10 * time.Second)
	// healthy times the delay that its death would now cost, or Last, is how long a
	// process has to serve to be taken for healthy. So the starts of one that dies
	// again and again stay rare beside its service, and one that is killed now and
	// then is back at once.
	healthy = 10
)

// Next is the delay after one more death.
func (d Delay) Next() Delay { return min(2*d, Last) }

// AfterLife is the delay after the death of a process that served for life, d
// that after one which did not serve.
func (d Delay) AfterLife(life time.Duration) Delay {
	if Delay(life) >= min(healthy*d, Last) {
		return First
	}
	return d
}

func (d Delay) String() string { return time.Duration(d).String() }

// Pause waits for a time or the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
