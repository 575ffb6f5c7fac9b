package errand

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.dev/patchbay/internal/manifest"
)

// world runs errands that last until it is told to go on.
type world struct {
	*Errands
	goOn chan error

	mu  sync.Mutex
	ran []string // guarded by mu
}

func newWorld() *world {
	w := &world{goOn: make(chan error)}
	w.Errands = New(func(ctx context.Context, runtime manifest.Plugin, args []string) error {
		w.mu.Lock()
		w.ran = append(w.ran, runtime.Binary+" "+strings.Join(args, " "))
		w.mu.Unlock()
		select {
		case err := <-w.goOn:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, slog.New(slog.DiscardHandler))
	return w
}

func (w *world) begin(ctx context.Context, args ...string) {
	go w.Do(ctx, manifest.Plugin{Binary: "vm"}, args)
	synctest.Wait()
}

// want compares what has been run.
func (w *world) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.ran, ", "); got != strings.Join(want, ", ") {
		t.Errorf("ran %s, want %s", got, want)
	}
}

func TestOneAtATimeAndEachOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.begin(t.Context(), "warm", "1")
		w.begin(t.Context(), "warm", "1")
		w.begin(t.Context(), "warm", "2")
		w.begin(t.Context(), "warm", "2")
		w.want(t, "vm warm 1")
		w.goOn <- nil
		w.want(t, "vm warm 1", "vm warm 2")
		w.goOn <- nil
		w.begin(t.Context(), "warm", "1") // it may be needed again
		w.want(t, "vm warm 1", "vm warm 2", "vm warm 1")
		w.goOn <- nil
	})
}

func TestOneThatFailsRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.begin(t.Context(), "warm")
		w.goOn <- errors.New("the disk is full")
		synctest.Wait()
		w.begin(t.Context(), "warm")
		w.want(t, "vm warm")
		time.Sleep(rest) // of the bubble
		w.begin(t.Context(), "warm")
		w.want(t, "vm warm", "vm warm")
		w.goOn <- nil
	})
}

func TestTheEndOfAllIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		ctx, cancel := context.WithCancel(t.Context())
		w.begin(ctx, "warm")
		w.begin(ctx, "wait")
		cancel()
		w.want(t, "vm warm")
		w.begin(t.Context(), "warm")
		w.want(t, "vm warm", "vm warm")
		w.goOn <- nil
	})
}
