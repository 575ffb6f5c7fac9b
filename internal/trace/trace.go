// Package trace records what operations consist of, in whatever process: spans
// of time, each below the one that caused it. It costs nothing where nobody
// traces: Start finds no span in its context then, allocates nothing and returns
// nil, on which every method does nothing.
//
// A span is told twice, when it begins and when it ends, and at once: a process
// keeps nothing of it, and what never ends, because its process hangs or was
// killed, is seen too.
package trace

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"patchbay.dev/patchbay/internal/random"
)

// Sink takes what is recorded. It is safe for concurrent use.
type Sink interface {
	// Wants reports whether spans of a trace are to be recorded, and with what was
	// allocated. The zero ID stands for operations of which nobody has said that they
	// are part of a trace.
	Wants(ID) (spans, allocations bool)
	// Begin and End take a span as it is then. They do not wait for anybody.
	Begin(Record)
	End(Record)
}

// Recorder records spans of one process.
type Recorder struct {
	process string
	sink    Sink
}

// NewRecorder returns a recorder for the process of a name.
func NewRecorder(process string, sink Sink) *Recorder { return &Recorder{process: process, sink: sink} }

// Span is a part of an operation. A nil span is one that is not recorded.
type Span struct {
	recorder *Recorder
	parent   Parent
	begun    time.Time // with the monotonic clock
	record   Record    // constant after the span has begun, but for what end adds
	notes    map[string]string
	ended    atomic.Bool
}

type spanKey struct{}

// Current returns the span that a context is in, or nil.
func Current(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// With returns ctx inside a span; of nil, ctx itself.
func With(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, s)
}

// Start begins a span below that of ctx, and returns a context inside it.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	above := Current(ctx)
	if above == nil {
		return ctx, nil
	}
	s := above.below(name, Inside)
	return With(ctx, s), s
}

// Do makes a step of an operation a span.
func Do(ctx context.Context, name string, step func(context.Context) error) error {
	ctx, span := Start(ctx, name)
	err := step(ctx)
	span.End(err)
	return err
}

// StartCall is Start for a call of another process.
func StartCall(ctx context.Context, name string) (context.Context, *Span) {
	above := Current(ctx)
	if above == nil {
		return ctx, nil
	}
	s := above.below(name, Call)
	return With(ctx, s), s
}

// StartLife is Start for what goes on by itself when the operation is over.
func StartLife(ctx context.Context, name string) (context.Context, *Span) {
	above := Current(ctx)
	if above == nil {
		return ctx, nil
	}
	s := above.below(name, Life)
	return With(ctx, s), s
}

func (s *Span) below(name string, k Kind) *Span {
	if wanted, _ := s.recorder.sink.Wants(s.record.Trace); !wanted {
		return nil
	}
	return s.recorder.begin(name, k, Parent{Trace: s.record.Trace, Span: s.record.Span, Allocations: s.parent.Allocations})
}

// Join begins what a process does in an operation that began elsewhere: below the
// parent, or as a trace of its own if the parent is zero and somebody wants that. A
// nil recorder records nothing.
func (r *Recorder) Join(ctx context.Context, name string, k Kind, p Parent) (context.Context, *Span) {
	if r == nil {
		return ctx, nil
	}
	wanted, allocations := r.sink.Wants(p.Trace)
	if !wanted {
		return ctx, nil
	}
	p.Allocations = p.Allocations || allocations
	if p.Trace == (ID{}) {
		p.Trace = NewID()
	}
	s := r.begin(name, k, p)
	return With(ctx, s), s
}

// began is when this process was nearly new: the Go runtime runs, main does not yet.
var began = time.Now()

func (r *Recorder) begin(name string, k Kind, p Parent) *Span {
	begun := time.Now()
	if k == Program {
		begun = began
	}
	s := &Span{recorder: r, parent: p, begun: begun, record: Record{
		Trace: p.Trace, Span: newSpanID(), Parent: p.Span, Name: name, Process: r.process, Kind: k,
	}}
	s.record.Start = s.begun.UnixNano()
	s.record.Allocated = s.allocated()
	r.sink.Begin(s.record)
	return s
}

// allocated is how much the process has allocated so far, where that is asked and
// a span is not inside another one of its process.
func (s *Span) allocated() uint64 {
	if !s.parent.Allocations || s.record.Kind != Serve && s.record.Kind != Program {
		return 0
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m) // exact; what runtime/metrics tells lacks what processors have not handed in yet
	return m.TotalAlloc
}

// Note adds a word about what the span is of, such as the name of a network. It
// is called by whoever began the span, before it ends.
func (s *Span) Note(key, value string) {
	if s == nil {
		return
	}
	if s.notes == nil {
		s.notes = map[string]string{}
	}
	s.notes[key] = value
}

// End ends a span with what came of it. Only the first call counts.
func (s *Span) End(err error) {
	if s == nil || s.ended.Swap(true) {
		return
	}
	r := s.record
	r.Duration, r.Ended = time.Since(s.begun), true
	r.Notes = s.notes
	if err != nil {
		r.Error = err.Error()
	}
	if r.Allocated != 0 {
		r.Allocated = s.allocated()
	}
	s.recorder.sink.End(r)
}

// EndBy is End for a deferred call, with the error that the function returns.
func (s *Span) EndBy(err *error) {
	if s != nil {
		s.End(*err)
	}
}

// Parent returns what a process that is asked for something has to know to join
// the trace; the zero Parent of nil.
func (s *Span) Parent() Parent {
	if s == nil {
		return Parent{}
	}
	return Parent{Trace: s.record.Trace, Span: s.record.Span, Allocations: s.parent.Allocations}
}

type briefKey struct{}

// Briefly returns a context whose streaming calls are over, as far as they are recorded,
// with their first answers: what comes after it may come in days.
func Briefly(ctx context.Context) context.Context {
	if Current(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, briefKey{}, true)
}

// IsBrief reports whether ctx is of Briefly.
func IsBrief(ctx context.Context) bool { return ctx.Value(briefKey{}) != nil }

// NewID returns the id of a new trace.
func NewID() (id ID) {
	random.Read(id[:])
	return id
}

func newSpanID() (id SpanID) {
	random.Read(id[:])
	return id
}
