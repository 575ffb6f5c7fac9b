package images

import (
	"sync"

	"patchbay.dev/patchbay/resource"
)

// reporter passes progress on, one call at a time.
type reporter struct {
	mu   sync.Mutex
	tell func(Progress) // guarded by mu: not called by two at once
}

func newReporter(tell func(Progress)) *reporter {
	if tell == nil {
		tell = func(Progress) {}
	}
	return &reporter{tell: tell}
}

func (r *reporter) report(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(p)
}

// meter returns a function that reports how far one blob is, seldom enough
// not to slow the transfer down.
func (r *reporter) meter(id string, step resource.TransferStep, total int64) func(current int64) {
	interval := max(total/100, 64<<10)
	var next int64
	return func(current int64) {
		if current < next && current != total {
			return
		}
		next = current + interval
		r.report(Progress{ID: id, Step: step, Current: current, Total: total})
	}
}
