// Package spans shows what operations consisted of: as a tree, as the JSON that viewers
// of traces open, and as a picture.
package spans

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/trace"
)

// Span is one span with those below it, in the order of their beginnings.
type Span struct {
	trace.Record
	// Before is what Allocated was when the span began.
	Before uint64
	Below  []*Span
}

// End is when it ended; of one that has not, when it began.
func (s *Span) End() int64 { return s.Start + int64(s.Duration) }

// maxKept bounds the memory of a Kept.
const maxKept = 200_000

// Kept is what has been told so far. It is a sink for the spans of this process, and
// safe for concurrent use.
type Kept struct {
	mu    sync.Mutex
	spans map[trace.SpanID]*Span // guarded by mu
	order []*Span                // guarded by mu; as they began
	lost  uint64                 // guarded by mu
}

var _ trace.Sink = (*Kept)(nil)

// NewKept returns a Kept without any spans.
func NewKept() *Kept { return &Kept{spans: map[trace.SpanID]*Span{}} }

// Wants implements trace.Sink.
func (*Kept) Wants(trace.ID) (spans, allocations bool) { return true, false }

// Begin implements trace.Sink.
func (k *Kept) Begin(r trace.Record) { k.Take(r) }

// End implements trace.Sink.
func (k *Kept) End(r trace.Record) { k.Take(r) }

// Take adds what is told of a span, first or again.
func (k *Kept) Take(r trace.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.spans[r.Span]; s != nil {
		if !s.Ended { // else what comes is late
			r.PID = cmp.Or(r.PID, s.PID)
			s.Record = r
		}
		return
	}
	if r.Ended && r.Kind == trace.Life {
		return // of a trace that was dropped
	}
	if len(k.order) >= maxKept {
		k.lost++
		return
	}
	s := &Span{Record: r, Before: r.Allocated}
	k.spans[r.Span], k.order = s, append(k.order, s)
}

// Place says which process a span is of that was begun for it.
func (k *Kept) Place(span trace.SpanID, pid int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.spans[span]; s != nil {
		s.PID = pid
	}
}

// Lose counts records that were lost on their way.
func (k *Kept) Lose(n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost += n
}

// Lost is how many records are missing.
func (k *Kept) Lost() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// Roots returns all spans as trees, which are the caller's: below none are those whose
// parent is not known.
func (k *Kept) Roots() []*Span {
	k.mu.Lock()
	defer k.mu.Unlock()
	copies := make(map[trace.SpanID]*Span, len(k.order))
	for _, s := range k.order {
		c := *s
		copies[s.Span] = &c
	}
	var roots []*Span
	for _, s := range k.order {
		c := copies[s.Span]
		if above := copies[s.Parent]; above != nil && above != c {
			above.Below = append(above.Below, c)
		} else {
			roots = append(roots, c)
		}
	}
	for _, c := range copies {
		slices.SortStableFunc(c.Below, byStart)
	}
	slices.SortStableFunc(roots, byStart)
	return roots
}

// Drop forgets the spans of a trace.
func (k *Kept) Drop(id trace.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.order = slices.DeleteFunc(k.order, func(s *Span) bool {
		if s.Trace == id {
			delete(k.spans, s.Record.Span)
		}
		return s.Trace == id
	})
}

func byStart(a, b *Span) int { return cmp.Compare(a.Start, b.Start) }

// Walk calls each for a span and all below it, from the top.
func (s *Span) Walk(each func(*Span)) {
	each(s)
	for _, b := range s.Below {
		b.Walk(each)
	}
}

// Last is when the last of all has ended.
func (s *Span) Last() int64 {
	last := s.End()
	s.Walk(func(b *Span) { last = max(last, b.End()) })
	return last
}

// Spent is how many bytes the process of a span has allocated meanwhile: all
// that it has done, whoever it was for. 0: not known.
func (s *Span) Spent() uint64 {
	switch {
	case !s.Ended || s.Allocated == 0:
		return 0
	case s.Kind == trace.Program:
		return s.Allocated // with what came before the span
	}
	return s.Allocated - min(s.Before, s.Allocated)
}

func milliseconds(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }
