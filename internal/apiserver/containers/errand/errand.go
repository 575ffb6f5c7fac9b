// Package errand does in the background what a runtime asks for when it has started
// a container, so that later starts are faster.
package errand

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"patchbay.dev/patchbay/internal/manifest"
)

// rest is how long an errand that has failed is not tried again.
const rest = 10 * time.Minute

// Run runs a runtime's program with arguments, to its end.
type Run func(ctx context.Context, runtime manifest.Plugin, args []string) error

// Errands runs errands, one at a time.
type Errands struct {
	run  Run
	log  *slog.Logger
	turn chan struct{} // holds a token while one runs

	mu    sync.Mutex
	known map[string]time.Time // guarded by mu; zero: waits or runs; else when it failed
}

// New returns errands of which none runs.
func New(run Run, log *slog.Logger) *Errands {
	return &Errands{run: run, log: log, turn: make(chan struct{}, 1), known: make(map[string]time.Time)}
}

// Do runs an errand and returns when it is done. One that waits or runs already, or
// has failed not long ago, it leaves at that.
func (e *Errands) Do(ctx context.Context, runtime manifest.Plugin, args []string) {
	key := runtime.Binary + "\x00" + strings.Join(args, "\x00")
	if !e.begin(key) {
		return
	}
	err := e.runInTurn(ctx, runtime, args)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil || ctx.Err() != nil {
		delete(e.known, key)
		return
	}
	e.known[key] = time.Now()
	e.log.Warn("what a runtime wanted to have done has failed", "runtime", runtime.Name, "arguments", args, "error", err)
}

func (e *Errands) runInTurn(ctx context.Context, runtime manifest.Plugin, args []string) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.turn }()
	return e.run(ctx, runtime, args)
}

func (e *Errands) begin(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if failed, ok := e.known[key]; ok && (failed.IsZero() || time.Since(failed) < rest) {
		return false
	}
	e.known[key] = time.Time{}
	return true
}
