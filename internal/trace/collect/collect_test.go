package collect_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/trace/collect"
)

type taken struct {
	mu      sync.Mutex
	records []trace.Record // guarded by mu
}

func (t *taken) take(r trace.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records = append(t.records, r)
}

// all returns what was taken since it was last called.
func (t *taken) all() []trace.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.records
	t.records = nil
	return out
}

func parent() trace.Parent { return trace.Parent{Trace: trace.NewID(), Span: trace.SpanID{1}} }

// What a process has told is there after Sync, which process it was is known from the
// kernel, and the connection is open only while there are spans.
func TestProcessTells(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.sock")
	t.Setenv(trace.SocketVariable, path)
	recorder := trace.FromEnvironment("process")
	if _, span := recorder.Join(t.Context(), "too early", trace.Serve, parent()); span != nil {
		t.Error("a span while nobody collects")
	}
	var got taken
	c, err := collect.New(path, got.take)
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	if _, span := recorder.Join(t.Context(), "nobody's", trace.Serve, trace.Parent{}); span != nil {
		t.Error("a span of no trace: that is for who collects to want")
	}
	const spans = 100
	for range spans {
		ctx, whole := recorder.Join(t.Context(), "whole", trace.Serve, parent())
		_, part := trace.Start(ctx, "part")
		part.End(nil)
		c.Sync()
		if n := descriptors(t); n != before+2 {
			t.Fatalf("%d descriptors, want both ends of a connection more than %d", n, before)
		}
		whole.End(nil)
		c.Sync()
		told := got.all()
		if len(told) != 4 {
			t.Fatalf("%d records, want 4", len(told))
		}
		for _, r := range told {
			if r.PID != os.Getpid() || r.Process != "process" {
				t.Fatalf("told by %s, process %d, want process, %d", r.Process, r.PID, os.Getpid())
			}
		}
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors are open when no span is, want %d", n, before)
	}
	c.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", path, err)
	}
	if _, span := recorder.Join(t.Context(), "too late", trace.Serve, parent()); span != nil {
		t.Error("a span while nobody collects any more")
	}
}

// A span whose process ends without it is told as ended, with the reason.
func TestProcessDies(t *testing.T) {
	var got taken
	c, err := collect.New("", got.take)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(pair[0], 42); err != nil {
		t.Fatal(err)
	}
	t.Setenv(trace.FDVariable, strconv.Itoa(pair[1]))
	recorder := trace.FromEnvironment("process")
	if _, span := recorder.Join(t.Context(), "cut", trace.Program, parent()); span == nil {
		t.Fatal("no span")
	}
	for _, junk := range []string{"no json", "{}", `{"trace":"00","span":"11"}`} {
		if err := unix.Send(pair[1], []byte(junk), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
	c.Sync()
	told := got.all()
	if len(told) != 2 || told[0].Ended || !told[1].Ended || told[1].Error == "" || told[1].PID != 42 {
		t.Errorf("got %+v, want a beginning and an end with its reason, of process 42", told)
	}
}

// Who collects and does not read loses records; nobody waits for it.
func TestNobodyReads(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	t.Setenv(trace.FDVariable, strconv.Itoa(pair[1]))
	ctx, span := trace.FromEnvironment("process").Join(context.Background(), "whole", trace.Program, parent())
	for range 10_000 {
		_, part := trace.Start(ctx, "part")
		part.End(nil)
	}
	span.End(nil)
	if err := unix.Close(pair[1]); err != nil {
		t.Fatal(err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// What comes beside or after the end of a collector touches no descriptor but those that it
// was given.
func TestCloseAmidCalls(t *testing.T) {
	for range 100 {
		c, err := collect.New("", func(trace.Record) {})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(c.Sync)
			all.Go(c.Close)
		}
		all.Wait()
		// These have the numbers that the collector's pipe had.
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		given, err := unix.Dup(ends[0])
		if err != nil {
			t.Fatal(err)
		}
		c.Sync()
		c.Close()
		if err := c.Add(given, 1); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after the end: got %v, want os.ErrClosed", err)
		}
		if n, err := unix.Read(ends[0], make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
			t.Fatalf("read %d bytes, %v, that nobody has written", n, err)
		}
		unix.Close(ends[0])
		unix.Close(ends[1])
	}
}
