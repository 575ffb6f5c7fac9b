package span_test

import (
	"errors"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/wire/span"
)

// What is told of a span is the same on the other side, also of one that goes on and
// of one that took no time.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	begun := trace.Record{
		Trace: trace.ID{1, 2}, Span: trace.SpanID{3}, Name: "Allocate", Process: "patchbayd", PID: 7, Kind: trace.Call, Start: 1764428400123456789, Allocated: 5,
	}
	ended, below := begun, begun
	ended.Ended = true
	below.Ended, below.Parent, below.Duration, below.Error, below.Notes = true, trace.SpanID{4}, time.Millisecond, "no address left", map[string]string{"network": "lan"}
	for _, want := range []trace.Record{begun, ended, below} {
		got, err := span.FromProto(span.ToProto(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a span (-want +got):\n%s", diff)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	if id, err := span.TraceID(""); err != nil || id != (trace.ID{}) {
		t.Errorf("no id: %v, %v", id, err)
	}
	want := trace.NewID()
	if id, err := span.TraceID(want.String()); err != nil || id != want {
		t.Errorf("got %v, %v, want %v", id, err, want)
	}
	for _, bad := range []string{"00", want.String() + "00", "g" + want.String()[1:]} {
		if _, err := span.TraceID(bad); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: got %v, want an invalid argument", bad, err)
		}
	}
	if _, err := span.FromProto(&apiserverv1.Span{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("a span without ids: got %v, want an invalid argument", err)
	}
}
