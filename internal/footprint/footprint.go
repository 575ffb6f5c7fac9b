// Package footprint gives back the memory that a process needs only while it works.
//
// A Go process collects its garbage when the heap has grown to 4 MiB, and then when it
// has doubled. One that does little keeps what its beginning and its last calls have
// left for ever, and there is a process for each network.
//
// A process that allocates less than 2 MiB in all, as the helpers of containers do, does
// not collect: the first collection makes tables of its own, which are larger then than
// what it finds.
package footprint

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// How long a process has nothing to do until it gives memory back: who calls again at once
// would only have to get it anew. There is a process for each network, which few call, and one
// that all call.
const (
	OfMany = time.Second
	OfOne  = 30 * time.Second
)

// idle is how long it has nothing to do until its program is unmapped: the call after
// that takes twice the processor time, which who comes back within half a minute must not.
// The pages are the kernel's page cache either way, so that to wait costs no memory.
const idle = 30 * time.Second

// When garbage is collected: when the heap has grown by so much, in percent, while the process
// is called, when collecting takes time from who waits, and while it does something by
// itself, when what little that is must not add up. A process that does nothing at all does
// not collect before it has so many bytes more: with a growth in percent the Go runtime collects
// every two minutes too, which of a thousand quiet processes takes a fifth of a processor.
const (
	growthCalled = 100
	growthQuiet  = 25
	growthOff    = -1
	slackQuiet   = 2 << 20
)

// Trimmer gives memory back when nothing has been observed for a while. Close ends it.
type Trimmer struct {
	quiet   time.Duration
	timer   *time.Timer // nil: no garbage is collected
	program *time.Timer // nil: it does nothing
	trimmed atomic.Bool // since the last call
	trims   atomic.Uint64
	limit   int64 // of memory, as it was when the process began
}

// New returns a Trimmer of a process that gives memory back when it has been quiet for so long,
// which looks upon its making as a call. Where GOGC says when garbage is to be collected, the
// Trimmer does nothing.
func New(quiet time.Duration) *Trimmer {
	t := &Trimmer{quiet: quiet, limit: debug.SetMemoryLimit(-1)}
	if os.Getenv("GOGC") == "" {
		t.timer = time.AfterFunc(quiet, t.trim)
		t.program = time.AfterFunc(idle, unmapProgram)
	}
	return t
}

// NewUncollected returns a Trimmer that collects no garbage, and does not look upon its
// making as a call.
func NewUncollected() *Trimmer {
	program := time.AfterFunc(idle, unmapProgram)
	program.Stop()
	return &Trimmer{program: program}
}

// Observe is told of a call when it begins, and by what it returns when it ends. One
// that is still running is no work: most of these wait for something.
func (t *Trimmer) Observe(string) (ended func(string)) {
	if t.program == nil {
		return func(string) {}
	}
	t.restart()
	if t.trimmed.CompareAndSwap(true, false) {
		go t.collect(growthCalled) // which waits for a collection that is under way
	}
	return func(string) { t.restart() }
}

// restart has quiet begin anew.
func (t *Trimmer) restart() {
	if t.timer != nil {
		t.timer.Reset(t.quiet)
	}
	t.program.Reset(idle)
}

// Close ends the Trimmer.
func (t *Trimmer) Close() {
	for _, timer := range []*time.Timer{t.timer, t.program} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// collect has garbage collected by the growth of the heap alone. There is one limit or the
// other at any time: for a heap without any, as for a very large one, the Go runtime asks for
// huge pages.
func (t *Trimmer) collect(growth int) {
	debug.SetGCPercent(growth)
	debug.SetMemoryLimit(t.limit)
}

func (t *Trimmer) trim() {
	trim := t.trims.Add(1)
	debug.SetGCPercent(growthQuiet)
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(min(t.limit, int64(m.Sys-m.HeapReleased)+slackQuiet)) //nolint:gosec // far below
	debug.SetGCPercent(growthOff)
	t.trimmed.Store(true)
	// A heap that stays at its limit is collected all the time. The end of what nobody
	// uses tells of a collection.
	runtime.AddCleanup(new([64]byte), t.collected, trim)
}

// collected is told of the first collection after a trim: the process does something by
// itself.
func (t *Trimmer) collected(trim uint64) {
	if t.trims.Load() == trim && t.trimmed.Load() {
		go t.collect(growthQuiet)
	}
}
