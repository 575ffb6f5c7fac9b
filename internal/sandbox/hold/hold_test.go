package hold_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/hold"
	"patchbay.dev/patchbay/internal/sandbox/hold/holdtest"
	"patchbay.dev/patchbay/resource"
)

func newFakes() (*holdtest.Plugins, *hold.Leases) {
	p := holdtest.New()
	return p, hold.New(p.Dial, slog.New(slog.DiscardHandler))
}

func on(sockets ...string) []resource.AllocatedAttachment {
	var out []resource.AllocatedAttachment
	for i, s := range sockets {
		out = append(out, resource.AllocatedAttachment{
			Attachment: resource.Attachment{Network: "net-" + s},
			Lease:      resource.LeaseReference{Key: fmt.Sprintf("id/%d", i), Socket: s},
		})
	}
	return out
}

func TestHoldIsAllOrNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakes()
		p.SetDown("b", fmt.Errorf("no such lease: %w", errdefs.ErrNotFound))
		err := l.Hold(context.Background(), on("a", "b"), "")
		if !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("hold: %v, want not found", err)
		}
		if p.Holds("a") {
			t.Error("the stream to the other plugin is still open")
		}
	})
}

func TestHoldGivesUpOnSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakes()
		p.Silence("a")
		begin := time.Now()
		err := l.Hold(context.Background(), on("a"), "")
		if !errors.Is(err, errdefs.ErrUnavailable) || time.Since(begin) != hold.ConfirmTimeout {
			t.Errorf("hold: %v after %v, want unavailable after %v", err, time.Since(begin), hold.ConfirmTimeout)
		}
	})
}

// TestLetGo: each lease has a stream of its own, so that one can be let go
// without the others, also while its plugin is away.
func TestLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakes()
		if err := l.Hold(context.Background(), on("a", "b"), ""); err != nil {
			t.Fatal(err)
		}
		if err := l.Hold(context.Background(), on("", "", "c")[2:], ""); err != nil {
			t.Fatal(err)
		}
		p.SetDown("b", fmt.Errorf("refused: %w", errdefs.ErrUnavailable))
		p.Break("b")
		time.Sleep(time.Minute)
		l.LetGo("id/1")
		l.LetGo("id/0")
		l.LetGo("id/0") // no more
		if f := l.Faults(); len(f) != 0 {
			t.Errorf("faults = %v of leases that were let go", f)
		}
		if p.Holds("a") || !p.Holds("c") {
			t.Error("want a let go and c held")
		}
		l.Release()
		if p.Holds("c") {
			t.Error("the stream to c is open after release")
		}
	})
}

// TestHoldAgain: a plugin that is away for long is found again within the longest
// back-off, and the fault shows meanwhile.
func TestHoldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakes()
		ctx, cancel := context.WithCancel(context.Background())
		if err := l.Hold(ctx, on("a", "b"), ""); err != nil {
			t.Fatal(err)
		}
		cancel() // of the call only
		synctest.Wait()
		if f := l.Faults(); len(f) != 0 {
			t.Errorf("faults = %v, want none", f)
		}
		p.SetDown("a", fmt.Errorf("refused: %w", errdefs.ErrUnavailable))
		p.Break("a")
		time.Sleep(time.Hour)
		if f := l.Faults(); len(f) != 1 {
			t.Errorf("faults = %v, want one", f)
		}
		p.SetDown("a", nil)
		time.Sleep(hold.LastRedial)
		synctest.Wait()
		if f := l.Faults(); len(f) != 0 {
			t.Errorf("faults = %v, want none", f)
		}
		l.Release()
	})
}
