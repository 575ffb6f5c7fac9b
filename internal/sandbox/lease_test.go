package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/resource"
)

// fakePlugins answers dials as each socket's state says.
type fakePlugins struct {
	mu     sync.Mutex
	down   map[string]error
	silent map[string]bool
	open   map[string]*fakeStream
	dials  int
}

type fakeStream struct {
	ctx       context.Context
	confirmed bool
	silent    bool
	broken    chan struct{}
}

func (s *fakeStream) Receive() error {
	if !s.confirmed && !s.silent {
		s.confirmed = true
		return nil
	}
	select {
	case <-s.broken:
		return fmt.Errorf("stream: %w", errdefs.ErrUnavailable)
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *fakeStream) Close() {}

func (p *fakePlugins) dial(ctx context.Context, socket string, _ resource.Codec, _ *pluginv1.HoldRequest) (holdStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	if err := p.down[socket]; err != nil {
		return nil, err
	}
	p.open[socket] = &fakeStream{ctx: ctx, silent: p.silent[socket], broken: make(chan struct{})}
	return p.open[socket], nil
}

func (p *fakePlugins) setDown(socket string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[socket] = err
}

func newFakes() (*fakePlugins, *leases) {
	p := &fakePlugins{down: map[string]error{}, silent: map[string]bool{}, open: map[string]*fakeStream{}}
	return p, newLeases(p.dial, slog.New(slog.DiscardHandler))
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
		p.down["b"] = fmt.Errorf("no such lease: %w", errdefs.ErrNotFound)
		err := l.hold(context.Background(), on("a", "b"), "")
		if !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("hold: %v, want not found", err)
		}
		if a := p.open["a"]; a != nil && a.ctx.Err() == nil {
			t.Error("the stream to the other plugin is still open")
		}
	})
}

func TestHoldGivesUpOnSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakes()
		p.silent["a"] = true
		begin := time.Now()
		err := l.hold(context.Background(), on("a"), "")
		if !errors.Is(err, errdefs.ErrUnavailable) || time.Since(begin) != holdTimeout {
			t.Errorf("hold: %v after %v, want unavailable after %v", err, time.Since(begin), holdTimeout)
		}
	})
}

func TestOneStreamForEachPlugin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakes()
		if err := l.hold(context.Background(), on("a", "a", "b"), ""); err != nil {
			t.Fatal(err)
		}
		if p.dials != 2 {
			t.Errorf("dials = %d, want 2", p.dials)
		}
		l.release()
		for socket, s := range p.open {
			if s.ctx.Err() == nil {
				t.Errorf("stream to %s is open after release", socket)
			}
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
		if err := l.hold(ctx, on("a", "b"), ""); err != nil {
			t.Fatal(err)
		}
		cancel() // of the call only
		synctest.Wait()
		if f := l.currentFaults(); len(f) != 0 {
			t.Errorf("faults = %v, want none", f)
		}
		p.setDown("a", fmt.Errorf("refused: %w", errdefs.ErrUnavailable))
		close(p.open["a"].broken)
		time.Sleep(time.Hour)
		if f := l.currentFaults(); len(f) != 1 {
			t.Errorf("faults = %v, want one", f)
		}
		p.setDown("a", nil)
		time.Sleep(lastRedial)
		synctest.Wait()
		if f := l.currentFaults(); len(f) != 0 {
			t.Errorf("faults = %v, want none", f)
		}
		l.release()
	})
}
