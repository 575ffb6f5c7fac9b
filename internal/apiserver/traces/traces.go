// Package traces gathers spans for whoever traces: those of patchbayd itself, and
// those of the processes that it calls.
package traces

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/internal/trace/collect"
)

// queueLength is how many records may wait to be sent to a listener. What comes
// when as many wait is lost, and counted.
const queueLength = 1 << 14

// finishTime is how long a listener that has heard enough waits for spans that have
// begun and not ended.
const finishTime = 5 * time.Second

// Query says what a listener wants to be told.
type Query struct {
	// Trace is the one of interest; the zero ID: all calls of patchbayd, each a trace of
	// its own unless its caller says otherwise.
	Trace trace.ID
	// Allocations asks for trace.Record.Allocated.
	Allocations bool
}

// Service is who collects. It is a sink for the spans of this process, and safe for
// concurrent use.
type Service struct {
	socket string
	active atomic.Int32 // listeners: without any, Wants is asked in vain

	mu        sync.Mutex
	listeners map[*listener]bool // guarded by mu
	collector *collect.Collector // guarded by mu; nil without listeners

	down    chan struct{} // closed by Drain
	drain   func()
	opening sync.Mutex // held while the collector is made or closed; above mu
}

var _ trace.Sink = (*Service)(nil)

// New returns a service that other processes reach by a socket, which is there
// while there are listeners.
func New(socket string) *Service {
	s := &Service{socket: socket, listeners: map[*listener]bool{}, down: make(chan struct{})}
	s.drain = sync.OnceFunc(func() { close(s.down) })
	return s
}

// Drain ends the calls of those who listen, so that they do not hold up the end of the
// server. They fail with errdefs.ErrUnavailable.
func (s *Service) Drain() { s.drain() }

type listener struct {
	query   Query
	records chan trace.Record

	mu        sync.Mutex
	open      map[trace.SpanID]bool // guarded by mu
	finishing bool                  // guarded by mu
	quiet     chan struct{}         // closed when nothing is open, when finishing
	lost      uint64                // guarded by mu
}

// Wants implements trace.Sink.
func (s *Service) Wants(id trace.ID) (spans, allocations bool) {
	if s.active.Load() == 0 {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if l.wants(id) {
			spans, allocations = true, allocations || l.query.Allocations
		}
	}
	return spans, allocations
}

// wants: a listener to all hears of every trace.
func (l *listener) wants(id trace.ID) bool {
	return l.query.Trace == (trace.ID{}) || l.query.Trace == id
}

// Begin implements trace.Sink.
func (s *Service) Begin(r trace.Record) { s.own(r) }

// End implements trace.Sink.
func (s *Service) End(r trace.Record) { s.own(r) }

func (s *Service) own(r trace.Record) {
	r.PID = os.Getpid()
	s.pass(r)
}

// pass gives a record to those who want it.
func (s *Service) pass(r trace.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if l.wants(r.Trace) {
			l.take(r)
		}
	}
}

func (l *listener) take(r trace.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.Ended:
		delete(l.open, r.Span)
	case r.Kind != trace.Life:
		l.open[r.Span] = true
	}
	select {
	case l.records <- r:
	default:
		l.lost++
	}
	l.look()
}

// look needs mu.
func (l *listener) look() {
	if !l.finishing || len(l.open) > 0 {
		return
	}
	select {
	case <-l.quiet:
	default:
		close(l.quiet)
	}
}

// finish has quiet closed as soon as nothing is open.
func (l *listener) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finishing = true
	l.look()
}

// Listen tells what the query is for until ctx or finish ends; after finish, what has
// begun may end, for some seconds. It calls ready when from then on nothing is
// missed, and returns how many records were lost.
func (s *Service) Listen(ctx context.Context, q Query, finish <-chan struct{}, ready func() error, send func(trace.Record) error) (lost uint64, err error) {
	l := &listener{query: q, records: make(chan trace.Record, queueLength), open: map[trace.SpanID]bool{}, quiet: make(chan struct{})}
	if err := s.enter(l); err != nil {
		return 0, err
	}
	defer s.leave(l)
	if err := ready(); err != nil {
		return 0, err
	}
	var over <-chan time.Time
	for {
		select {
		case r := <-l.records:
			if err := send(r); err != nil {
				return 0, err
			}
			continue
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.down:
			return 0, fmt.Errorf("trace: patchbayd is going down: %w", errdefs.ErrUnavailable)
		case <-finish:
			finish = nil
			s.sync()
			l.finish()
			wait := finishTime
			if q.Trace == (trace.ID{}) {
				wait = 0 // of all calls some always go on
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			over = timer.C
			continue
		case <-l.quiet:
		case <-over:
		}
		return l.rest(send)
	}
}

// rest sends what still waits.
func (l *listener) rest(send func(trace.Record) error) (lost uint64, err error) {
	for {
		select {
		case r := <-l.records:
			if err := send(r); err != nil {
				return 0, err
			}
		default:
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.lost, nil
		}
	}
}

// enter makes a listener hear, and other processes tell.
func (s *Service) enter(l *listener) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	s.listeners[l] = true
	s.mu.Unlock()
	if s.active.Add(1) > 1 {
		return nil
	}
	c, err := collect.New(s.socket, s.pass) // the socket is there when all else is ready
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.listeners, l)
		s.active.Add(-1)
		return fmt.Errorf("%w: %w", err, errdefs.ErrInternal)
	}
	s.collector = c
	return nil
}

func (s *Service) leave(l *listener) {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	delete(s.listeners, l)
	c := s.collector
	s.mu.Unlock()
	if s.active.Add(-1) == 0 {
		c.Close()
	}
}

// sync returns when all that was told before has been passed on.
func (s *Service) sync() {
	s.mu.Lock()
	c := s.collector
	s.mu.Unlock()
	c.Sync()
}
