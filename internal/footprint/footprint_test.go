package footprint

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// released is how much of the heap has been given back to the kernel, in bytes. What
// the process has left tells less: the race detector keeps accounts of what is freed.
func released() uint64 { return metric("/memory/classes/heap/released:bytes") }

// TestTrim: when nothing has been called for a while, what is no longer used goes back
// to the kernel, and from then on the heap grows little, until
// something is called.
func TestTrim(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	work := make([]byte, 64<<20)
	for i := 0; i < len(work); i += 4096 {
		work[i] = 1
	}
	runtime.KeepAlive(work)
	before := released()

	trimmer := New(OfMany)
	defer trimmer.Close()
	if !trimmer.timer.Stop() {
		t.Error("the beginning does not lead to anything")
	}
	ended := trimmer.Observe("call")
	if !trimmer.timer.Stop() {
		t.Error("the beginning of a call does not lead to anything")
	}
	ended("ok")
	if !trimmer.timer.Stop() {
		t.Error("the end of a call does not lead to anything")
	}
	trimmer.trim()
	if now := released(); now < before+48<<20 {
		t.Errorf("%d bytes are given back, %d before, want the 64 MiB more that nobody uses", now, before)
	}
	if got := growth(); got != math.MaxUint64 { // with any other one the Go runtime collects every two minutes
		t.Errorf("the heap of a quiet process grows by %d percent, want no limit in percent", got)
	}
	if goal := metric("/gc/heap/goal:bytes"); goal >= 1<<30 { // the Go runtime then asks for huge pages of its own tables
		t.Errorf("a quiet process may have a heap of %d bytes", goal)
	}
	collections := metric("/gc/cycles/total:gc-cycles")
	for range 4 {
		garbage = make([]byte, slackQuiet)
	}
	if now := metric("/gc/cycles/total:gc-cycles"); now == collections {
		t.Errorf("a quiet process has made %d bytes of garbage and collected none", 4*slackQuiet)
	}
	awaitGrowth(t, growthQuiet, trimmer.limit) // what collects once does something by itself
	trimmer.trim()
	if got := growth(); got != math.MaxUint64 {
		t.Errorf("the heap of a process that is quiet again grows by %d percent, want no limit in percent", got)
	}
	trimmer.Observe("another call")
	awaitGrowth(t, growthCalled, trimmer.limit)
}

// awaitGrowth returns when the heap may grow by so much, in percent, up to a limit in bytes.
func awaitGrowth(t *testing.T, growing uint64, limit int64) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); growth() != growing || debug.SetMemoryLimit(-1) != limit; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the heap grows by %d percent up to %d bytes, want %d percent, %d bytes", growth(), debug.SetMemoryLimit(-1), growing, limit)
		}
	}
}

var garbage []byte // is allocated anew

// growth is how much the heap may grow until garbage is collected, in percent.
func growth() uint64 { return metric("/gc/gogc:percent") }

func metric(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Who says when garbage is to be collected is not overruled.
func TestCollectionIsSomebodyElses(t *testing.T) {
	t.Setenv("GOGC", "off")
	trimmer := New(OfMany)
	defer trimmer.Close()
	trimmer.Observe("call")("ok")
	if trimmer.timer != nil || trimmer.program != nil {
		t.Error("memory is given back though GOGC says when")
	}
}

// What collects no garbage waits for a call, and then for the end of quiet.
func TestUncollected(t *testing.T) {
	t.Parallel()
	trimmer := NewUncollected()
	defer trimmer.Close()
	if trimmer.program.Stop() {
		t.Error("the beginning leads to something")
	}
	trimmer.Observe("call")("ok")
	if !trimmer.program.Stop() {
		t.Error("a call does not lead to anything")
	}
}
