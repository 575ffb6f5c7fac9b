package trace_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/trace"
)

// memory keeps what is told of the traces that it wants.
type memory struct {
	want map[trace.ID]bool

	mu    sync.Mutex
	told  []trace.Record // guarded by mu
	count bool
}

func (m *memory) Wants(id trace.ID) (spans, allocations bool) { return m.want[id], m.count }
func (m *memory) Begin(r trace.Record)                        { m.take(r) }
func (m *memory) End(r trace.Record)                          { m.take(r) }

func (m *memory) take(r trace.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, r)
}

func TestSpans(t *testing.T) {
	t.Parallel()
	parent := trace.Parent{Trace: trace.NewID(), Span: trace.SpanID{1}}
	sink := &memory{want: map[trace.ID]bool{parent.Trace: true}}
	ctx, whole := trace.NewRecorder("test", sink).Join(t.Context(), "whole", trace.Serve, parent)
	_, part := trace.Start(ctx, "part")
	part.Note("network", "a")
	part.End(errors.New("broken"))
	part.End(nil) // counts no more
	_, call := trace.StartCall(ctx, "call")
	err := error(nil)
	call.EndBy(&err)
	whole.End(nil)

	w, c := whole.Parent().Span, call.Parent().Span
	want := []trace.Record{
		{Name: "whole", Kind: trace.Serve, Span: w, Parent: parent.Span},
		{Name: "part", Span: part.Parent().Span, Parent: w},
		{Name: "part", Span: part.Parent().Span, Parent: w, Ended: true, Error: "broken", Notes: map[string]string{"network": "a"}},
		{Name: "call", Kind: trace.Call, Span: c, Parent: w},
		{Name: "call", Kind: trace.Call, Span: c, Parent: w, Ended: true},
		{Name: "whole", Kind: trace.Serve, Span: w, Parent: parent.Span, Ended: true},
	}
	for i := range want {
		want[i].Trace, want[i].Process = parent.Trace, "test"
	}
	if diff := cmp.Diff(want, sink.told, cmpopts.IgnoreFields(trace.Record{}, "Start", "Duration")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	for i, r := range sink.told {
		if r.Start == 0 || r.Ended != (r.Duration > 0) {
			t.Errorf("record %d: begins at %d, takes %v", i, r.Start, r.Duration)
		}
	}
	delete(sink.want, parent.Trace) // nobody traces any more, but the context lives on
	if _, late := trace.Start(ctx, "late"); late != nil {
		t.Error("a span of a trace that nobody wants")
	}
}

// Nobody has to know how much a span allocates; where it is asked, what a process has
// spent is told by the spans that are not inside others of it.
func TestAllocations(t *testing.T) {
	t.Parallel()
	sink := &memory{want: map[trace.ID]bool{{}: true}, count: true}
	sink.want[trace.ID{}] = true
	all := &wantsAll{sink}
	ctx, whole := trace.NewRecorder("test", all).Join(t.Context(), "whole", trace.Serve, trace.Parent{})
	_, part := trace.Start(ctx, "part")
	garbage = make([]byte, 1<<20)
	part.End(nil)
	whole.End(nil)
	begun, ended := sink.told[0], sink.told[3]
	if spent := ended.Allocated - begun.Allocated; spent < 1<<20 {
		t.Errorf("%d bytes allocated, want %d at least", spent, 1<<20)
	}
	if part := sink.told[2]; part.Allocated != 0 {
		t.Errorf("a step tells of %d bytes, want its process alone to", part.Allocated)
	}
	if begun.Trace == (trace.ID{}) {
		t.Error("a trace of its own has no id")
	}
}

var garbage []byte

type wantsAll struct{ *memory }

func (w *wantsAll) Wants(trace.ID) (spans, allocations bool) { return true, w.count }

type otherKey struct{}

// Where nobody traces, spans cost nothing.
func TestNothingIsAllocatedWithoutATrace(t *testing.T) {
	ctx := context.WithValue(t.Context(), otherKey{}, "something else")
	recorder := trace.NewRecorder("test", &memory{})
	var none *trace.Recorder
	var err error
	allocated := testing.AllocsPerRun(100, func() {
		inside, span := trace.Start(ctx, "step")
		span.Note("network", "a")
		_, call := trace.StartCall(inside, "call")
		call.End(errors.ErrUnsupported)
		span.EndBy(&err)
		_, joined := recorder.Join(ctx, "joined", trace.Serve, trace.ParseParent("", ""))
		joined.End(nil)
		_, joined = none.Join(ctx, "joined", trace.Serve, trace.Parent{})
		joined.End(nil)
		trace.Briefly(ctx)
		trace.Environment(ctx)
	})
	if allocated != 0 {
		t.Errorf("%v allocations, want 0", allocated)
	}
}

func BenchmarkStartWithoutATrace(b *testing.B) {
	ctx := context.WithValue(b.Context(), otherKey{}, "something else")
	b.ReportAllocs()
	for b.Loop() {
		_, span := trace.Start(ctx, "step")
		span.End(nil)
	}
}

func TestParent(t *testing.T) {
	t.Parallel()
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	good := "00-" + id + "-" + span + "-01"
	for name, tt := range map[string]struct {
		header, state string
		want          bool
		allocations   bool
	}{
		"as the specification has it": {header: good, want: true},
		"with allocations":            {header: good, state: "other=1, patchbay=allocations", want: true, allocations: true},
		"of another vendor":           {header: good, state: "other=patchbay", want: true},
		"random flag too":             {header: "00-" + id + "-" + span + "-03", want: true},
		"of a later version":          {header: "01-" + id + "-" + span + "-01-more", want: true},
		"not sampled":                 {header: "00-" + id + "-" + span + "-00"},
		"none":                        {},
		"too long for version 0":      {header: good + "-more"},
		"a later version, malformed":  {header: "01-" + id + "-" + span + "-01more"},
		"version ff":                  {header: "ff-" + id + "-" + span + "-01"},
		"upper case":                  {header: strings.ToUpper(good)},
		"zero trace":                  {header: "00-" + strings.Repeat("0", 32) + "-" + span + "-01"},
		"zero span":                   {header: "00-" + id + "-" + strings.Repeat("0", 16) + "-01"},
		"not hexadecimal":             {header: "00-" + id[:31] + "g-" + span + "-01"},
		"cut":                         {header: good[:54]},
		"version is none":             {header: "0x-" + id + "-" + span + "-01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := trace.ParseParent(tt.header, tt.state)
			if got := p != (trace.Parent{}); got != tt.want || p.Allocations != tt.allocations {
				t.Fatalf("got %+v, want a parent: %v, allocations: %v", p, tt.want, tt.allocations)
			}
			if tt.want && (p.Trace.String() != id || p.Span.String() != span || trace.ParseParent(p.Header(), p.State()) != p) {
				t.Errorf("got %v, %v, want %s, %s, and the same from what it writes", p.Trace, p.Span, id, span)
			}
		})
	}
}

func FuzzParent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "patchbay=allocations")
	f.Fuzz(func(t *testing.T, header, state string) {
		p := trace.ParseParent(header, state)
		if p != (trace.Parent{}) && trace.ParseParent(p.Header(), p.State()) != p {
			t.Errorf("%q, %q: %+v is not what it writes", header, state, p)
		}
	})
}
