// Package holdtest has plugins for tests of those who hold leases.
package holdtest

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/sandbox/hold"
	"patchbay.dev/patchbay/resource"
)

// Plugins answers dials as each socket's state says.
type Plugins struct {
	mu     sync.Mutex
	down   map[string]error   // guarded by mu; by socket, as all
	silent map[string]bool    // guarded by mu
	open   map[string]*stream // guarded by mu; the last one
}

type stream struct {
	ctx       context.Context
	confirmed bool
	silent    bool
	broken    chan struct{}
}

func (s *stream) Receive() error {
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

func (s *stream) Close() {}

// Dial is a hold.Dial.
func (p *Plugins) Dial(ctx context.Context, lease resource.LeaseReference, _ string) (hold.Stream, error) {
	socket := lease.Socket
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.down[socket]; err != nil {
		return nil, err
	}
	p.open[socket] = &stream{ctx: ctx, silent: p.silent[socket], broken: make(chan struct{})}
	return p.open[socket], nil
}

// SetDown has dials to a socket fail; with nil no longer.
func (p *Plugins) SetDown(socket string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[socket] = err
}

// Silence has streams to a socket never be confirmed.
func (p *Plugins) Silence(socket string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent[socket] = true
}

// Break ends the stream to a socket.
func (p *Plugins) Break(socket string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.open[socket].broken)
}

// Holds reports whether the stream to a socket is open.
func (p *Plugins) Holds(socket string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.open[socket]
	return s != nil && s.ctx.Err() == nil
}

// New returns plugins that all answer.
func New() *Plugins {
	return &Plugins{down: map[string]error{}, silent: map[string]bool{}, open: map[string]*stream{}}
}
