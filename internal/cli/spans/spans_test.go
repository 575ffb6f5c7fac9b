package spans_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/cli/spans"
	"patchbay.dev/patchbay/internal/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

// told is an operation of a command line, patchbayd and two plugins that work at
// the same time, one of which fails and the other one has not answered.
func told() []trace.Record {
	const ms = int64(time.Millisecond)
	record := func(id, parent byte, process string, kind trace.Kind, name string, from, took int64) trace.Record {
		r := trace.Record{
			Trace: trace.ID{1}, Span: trace.SpanID{id}, Process: process, PID: map[string]int{"patchbay": 10, "patchbayd": 20, "patchbay-network-bridge": 30}[process],
			Kind: kind, Name: name, Start: 1e18 + from*ms,
		}
		if parent != 0 {
			r.Parent = trace.SpanID{parent}
		}
		if took >= 0 {
			r.Ended, r.Duration = true, time.Duration(took*ms)
		}
		return r
	}
	out := []trace.Record{
		record(1, 0, "patchbay", trace.Program, "patchbay run box", 0, 100),
		record(2, 1, "patchbay", trace.Call, "Start", 10, 80),
		record(3, 2, "patchbayd", trace.Serve, "Start", 12, 75),
		record(4, 3, "patchbayd", trace.Call, "Allocate", 20, 30),
		record(5, 4, "patchbay-network-bridge", trace.Serve, "Allocate", 21, 28),
		record(6, 3, "patchbayd", trace.Call, "Allocate", 20, -1),
		record(7, 3, "patchbayd", trace.Inside, "write the record", 60, 5),
	}
	out[2].Allocated = 150_000
	out[4].Error, out[5].Notes = "no address left\x1b[2J\n10.0.0.0/30 is full", map[string]string{"network": "lan"}
	begun := out[2]
	begun.Ended, begun.Duration, begun.Allocated = false, 0, 100_000
	return append([]trace.Record{begun}, out...)
}

func roots() []*spans.Span {
	k := spans.NewKept()
	for _, r := range told() {
		k.Take(r)
	}
	return k.Roots()
}

func golden(t *testing.T, name string, write func(io.Writer) error) []byte {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
	return got.Bytes()
}

func TestTree(t *testing.T) {
	t.Parallel()
	all := roots()
	if len(all) != 1 {
		t.Fatalf("%d trees, want 1", len(all))
	}
	golden(t, "tree.golden", func(w io.Writer) error { return spans.WriteTree(w, all[0]) })
}

func TestChrome(t *testing.T) {
	t.Parallel()
	var got struct {
		TraceEvents []struct {
			Name, Ph, ID string
			PID, TID     int
			TS, Dur      float64
		}
	}
	if err := json.Unmarshal(golden(t, "chrome.golden", func(w io.Writer) error { return spans.WriteChrome(w, roots()) }), &got); err != nil {
		t.Fatal(err)
	}
	// On one thread spans must be inside one another or apart.
	type lane struct{ pid, tid int }
	busy := map[lane]float64{}
	for _, e := range got.TraceEvents {
		if e.Ph != "X" {
			continue
		}
		l := lane{e.PID, e.TID}
		if end := e.TS + e.Dur; e.TS < busy[l] && end > busy[l] {
			t.Errorf("%s: from %v to %v crosses what ends at %v", e.Name, e.TS, end, busy[l])
		} else {
			busy[l] = max(busy[l], end)
		}
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	for d := xml.NewDecoder(bytes.NewReader(golden(t, "picture.golden.svg", func(w io.Writer) error { return spans.WritePicture(w, roots()) }))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	var nothing bytes.Buffer
	if err := spans.WritePicture(&nothing, nil); err != nil || !strings.HasSuffix(nothing.String(), "</svg>\n") {
		t.Errorf("a picture of nothing: %v\n%s", err, nothing.String())
	}
}

// A late beginning does not take back an end, and a trace that was dropped is gone.
func TestKept(t *testing.T) {
	t.Parallel()
	k := spans.NewKept()
	r := trace.Record{Trace: trace.ID{1}, Span: trace.SpanID{1}, Name: "a", Ended: true, Duration: 5}
	k.Take(r)
	r.Ended, r.Duration = false, 0
	k.Take(r)
	if all := k.Roots(); len(all) != 1 || !all[0].Ended || all[0].Duration != 5 {
		t.Errorf("got %+v, want one that has ended", all)
	}
	k.Drop(trace.ID{2})
	if all := k.Roots(); len(all) != 1 {
		t.Errorf("another trace was dropped with it")
	}
	k.Drop(trace.ID{1})
	if all := k.Roots(); len(all) != 0 {
		t.Errorf("got %+v, want nothing", all)
	}
}
