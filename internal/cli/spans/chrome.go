package spans

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"

	"patchbay.dev/patchbay/internal/trace"
)

// event is one of Chrome's trace-event format, which Perfetto, chrome://tracing and
// speedscope open.
type event struct {
	Name      string         `json:"name"`
	Category  string         `json:"cat,omitempty"`
	Phase     string         `json:"ph"`
	Time      float64        `json:"ts"` // in microseconds
	Duration  *float64       `json:"dur,omitempty"`
	Process   int            `json:"pid"`
	Thread    int            `json:"tid"`
	Flow      string         `json:"id,omitempty"`
	Binding   string         `json:"bp,omitempty"`
	Arguments map[string]any `json:"args,omitempty"`
}

// WriteChrome writes trees in Chrome's trace-event format. Each process of the
// trace is one there, and each row of a process that has to do several things at once
// is a thread; arrows lead from calls to what the called processes made of them. Times
// are since the first beginning.
func WriteChrome(w io.Writer, roots []*Span) error {
	var events []event
	begun := beginning(roots)
	for _, p := range arrange(roots) {
		events = append(events, event{Name: "process_name", Phase: "M", Process: p.pid, Arguments: map[string]any{"name": p.name}})
		for row, spans := range p.rows {
			for _, s := range spans {
				events = append(events, eventsOf(s, begun, p.pid, row)...)
			}
		}
	}
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": events, "displayTimeUnit": "ms"})
}

func eventsOf(s *Span, begun int64, pid, row int) []event {
	at := microseconds(s.Start - begun)
	arguments := map[string]any{"trace": s.Trace.String(), "span": s.Record.Span.String()}
	for key, value := range maps.All(s.Notes) {
		arguments[key] = value
	}
	if s.Parent != (trace.SpanID{}) {
		arguments["parent"] = s.Parent.String()
	}
	if s.Error != "" {
		arguments["error"] = s.Error
	}
	if spent := s.Spent(); spent > 0 {
		// Of its process since that began: spans that overlap can be added up by these.
		arguments["allocated bytes"], arguments["allocated before"], arguments["allocated after"] = spent, s.Allocated-spent, s.Allocated
	}
	category := string(s.Kind)
	if category == "" {
		category = "step"
	}
	e := event{Name: s.Name, Category: category, Phase: "B", Time: at, Process: pid, Thread: row, Arguments: arguments}
	if s.Ended {
		took := microseconds(int64(s.Duration))
		e.Phase, e.Duration = "X", &took
	}
	out := []event{e}
	flow := event{Name: "call", Category: "call", Time: at, Process: pid, Thread: row}
	switch {
	case s.Kind == trace.Call:
		flow.Phase, flow.Flow = "s", s.Record.Span.String()
		out = append(out, flow)
	case s.Kind == trace.Serve && s.Parent != (trace.SpanID{}):
		flow.Phase, flow.Flow, flow.Binding = "f", s.Parent.String(), "e"
		out = append(out, flow)
	}
	return out
}

// beginning is when the first of trees began.
func beginning(roots []*Span) int64 {
	if len(roots) == 0 {
		return 0
	}
	return slices.MinFunc(roots, byStart).Start
}

func microseconds(ns int64) float64 { return float64(ns) / 1000 }

// process is what one process did, in rows in which spans are one after the other or
// inside one another.
type process struct {
	name string
	pid  int
	rows [][]*Span // the spans of a row in the order of their beginnings
}

// arrange returns the processes of trees, in the order in which they come in.
func arrange(roots []*Span) []*process {
	var all []*process
	known := map[string]*process{}
	var place func(s *Span, above *process, row int)
	place = func(s *Span, above *process, row int) {
		key := s.Process + "/" + strconv.Itoa(s.PID)
		p := known[key]
		if p == nil {
			p = &process{name: s.Process, pid: s.PID}
			known[key], all = p, append(all, p)
		}
		if p != above {
			row = 0
		}
		row = p.add(s, row)
		for _, b := range s.Below {
			place(b, p, row)
		}
	}
	for _, r := range roots {
		place(r, nil, 0)
	}
	return all
}

// add puts a span into the first row from the given one in which it has room.
func (p *process) add(s *Span, row int) int {
	for ; row < len(p.rows); row++ {
		if fits(s, p.rows[row]) {
			break
		}
	}
	if row == len(p.rows) {
		p.rows = append(p.rows, nil)
	}
	p.rows[row] = append(p.rows[row], s)
	return row
}

// fits: a span is after or before each other of a row, or inside one that is above it
// in the tree too.
func fits(s *Span, row []*Span) bool {
	for _, other := range row {
		apart := s.Start >= ending(other) || ending(s) <= other.Start
		if !apart && !(other.above(s) && s.Start >= other.Start && ending(s) <= ending(other)) {
			return false
		}
	}
	return true
}

// ending is when a span ends; of one that goes on, never.
func ending(s *Span) int64 {
	if !s.Ended {
		return 1<<63 - 1
	}
	return s.End()
}

func (s *Span) above(other *Span) bool {
	found := false
	s.Walk(func(b *Span) { found = found || b == other })
	return found
}
