package traces_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"patchbay.dev/patchbay/internal/apiserver/traces"
	"patchbay.dev/patchbay/internal/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listening is somebody who listens to a service.
type listening struct {
	records chan trace.Record
	finish  chan struct{}
	over    chan error
	lost    uint64
}

func listen(t *testing.T, s *traces.Service, q traces.Query, hold <-chan struct{}) *listening {
	t.Helper()
	l := &listening{records: make(chan trace.Record, 1<<16), finish: make(chan struct{}), over: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		var err error
		l.lost, err = s.Listen(t.Context(), q, l.finish, func() error { close(ready); return nil }, func(r trace.Record) error {
			if hold != nil {
				<-hold
			}
			l.records <- r
			return nil
		})
		close(l.records)
		l.over <- err
	}()
	<-ready
	return l
}

// names are those of the spans that have ended, until there is no more.
func (l *listening) names(t *testing.T) []string {
	t.Helper()
	var out []string
	for r := range l.records {
		if r.Ended {
			out = append(out, r.Name)
		}
	}
	if err := <-l.over; err != nil {
		t.Error(err)
	}
	return out
}

// Who listens to one trace hears of that alone, of other processes too, and of what has
// begun when enough was heard; nothing is there when nobody listens.
func TestListenToOne(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "trace.sock")
	s := traces.New(socket)
	recorder := trace.NewRecorder("patchbayd", s)
	if _, span := recorder.Join(t.Context(), "nobody listens", trace.Serve, trace.Parent{}); span != nil {
		t.Error("a span while nobody listens")
	}
	parent := trace.Parent{Trace: trace.NewID(), Span: trace.SpanID{1}}
	l := listen(t, s, traces.Query{Trace: parent.Trace}, nil)
	t.Setenv(trace.SocketVariable, socket)
	ctx, mine := recorder.Join(t.Context(), "mine", trace.Serve, parent)
	_, theirs := trace.FromEnvironment("plugin").Join(t.Context(), "theirs", trace.Serve, mine.Parent())
	_, life := trace.StartLife(ctx, "life")
	if _, span := recorder.Join(t.Context(), "another", trace.Serve, trace.Parent{Trace: trace.NewID(), Span: trace.SpanID{1}}); span != nil {
		t.Error("a span of another trace")
	}
	if _, span := recorder.Join(t.Context(), "none", trace.Serve, trace.Parent{}); span != nil {
		t.Error("a span of no trace")
	}
	close(l.finish)
	theirs.End(nil)
	select {
	case err := <-l.over:
		t.Fatalf("over while a span has not ended: %v", err)
	default:
	}
	mine.End(nil)
	got := map[string]bool{}
	for _, name := range l.names(t) {
		got[name] = true
	}
	if len(got) != 2 || !got["mine"] || !got["theirs"] {
		t.Errorf("heard of %v, want mine and theirs", got)
	}
	life.End(nil)
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", socket, err)
	}
}

// Who listens to all hears of calls of which nobody has said that they are traced.
func TestListenToAll(t *testing.T) {
	s := traces.New(filepath.Join(t.TempDir(), "trace.sock"))
	l := listen(t, s, traces.Query{Allocations: true}, nil)
	_, span := trace.NewRecorder("patchbayd", s).Join(t.Context(), "call", trace.Serve, trace.Parent{})
	if !span.Parent().Allocations {
		t.Error("allocations are not told")
	}
	span.End(nil)
	close(l.finish)
	if got := l.names(t); len(got) != 1 || got[0] != "call" {
		t.Errorf("heard of %v, want the call", got)
	}
}

// A listener that does not keep up loses records, which are counted, and holds nobody
// up.
func TestSlowListener(t *testing.T) {
	s := traces.New(filepath.Join(t.TempDir(), "trace.sock"))
	hold := make(chan struct{})
	l := listen(t, s, traces.Query{}, hold)
	ctx, whole := trace.NewRecorder("patchbayd", s).Join(context.Background(), "whole", trace.Serve, trace.Parent{})
	const parts = 20_000
	for range parts {
		_, part := trace.Start(ctx, "part")
		part.End(nil)
	}
	whole.End(nil)
	close(hold)
	close(l.finish)
	told := 0
	for range l.records {
		told++
	}
	if err := <-l.over; err != nil {
		t.Error(err)
	}
	if want := 2*parts + 2; l.lost == 0 || told+int(l.lost) != want {
		t.Errorf("%d told and %d lost, want some lost and %d in all", told, l.lost, want)
	}
}

// The end of the server does not wait for who listens.
func TestDrain(t *testing.T) {
	s := traces.New(filepath.Join(t.TempDir(), "trace.sock"))
	l := listen(t, s, traces.Query{}, nil)
	s.Drain()
	if err := <-l.over; !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}
