// Package span converts what is told of spans.
package span

import (
	"errors"
	"time"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/trace"
)

// ToProto converts what is told of a span.
func ToProto(r trace.Record) *apiserverv1.Span {
	s := &apiserverv1.Span{
		TraceId: r.Trace.String(), SpanId: r.Span.String(), Name: r.Name, Process: r.Process, Pid: int64(r.PID), Kind: string(r.Kind),
		Start: message.NewTimestamp(time.Unix(0, r.Start)), Error: r.Error, AllocatedBytes: r.Allocated, Notes: r.Notes,
	}
	if r.Parent != (trace.SpanID{}) {
		s.ParentId = r.Parent.String()
	}
	if r.Ended {
		s.Duration = message.NewDuration(r.Duration)
	}
	return s
}

// FromProto converts what is told of a span.
func FromProto(s *apiserverv1.Span) (trace.Record, error) {
	r := trace.Record{
		Name: s.GetName(), Process: s.GetProcess(), PID: int(s.GetPid()), Kind: trace.Kind(s.GetKind()),
		Start: s.GetStart().AsTime().UnixNano(), Error: s.GetError(), Allocated: s.GetAllocatedBytes(), Notes: s.GetNotes(),
		Ended: s.Duration != nil, Duration: s.GetDuration().AsDuration(),
	}
	faults := []error{r.Trace.UnmarshalText([]byte(s.GetTraceId())), r.Span.UnmarshalText([]byte(s.GetSpanId()))}
	if s.GetParentId() != "" {
		faults = append(faults, r.Parent.UnmarshalText([]byte(s.GetParentId())))
	}
	return r, errors.Join(faults...) // each of errdefs.ErrInvalidArgument
}

// TraceID converts the id of a trace; empty is the zero one.
func TraceID(s string) (id trace.ID, err error) {
	if s == "" {
		return id, nil
	}
	return id, id.UnmarshalText([]byte(s))
}
