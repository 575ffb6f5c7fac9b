// Package events keeps what has happened, in order and for a while, for those who
// follow it.
//
// Each event has a revision. Those of one run of patchbayd lie in an epoch of
// their own, whose number is stored once, at its start: so no event has to wait for
// the disk, and revisions grow even over a power cut. Recent events are in a file of
// the run root too, so that who follows goes on where it was after a restart of
// patchbayd.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource/event"
)

const (
	// epochSize is how many revisions an epoch has, one for each event.
	epochSize = 1_000_000_000
	// defaultRetain is how many events are kept at least.
	defaultRetain = 4096
)

// Collection is the name under which epochs are stored, and Schema the number of
// the form of Epoch.
const (
	Collection = "events"
	Schema     = 1
	epochID    = "epoch"
)

// Epoch is the stored number of the latest run of patchbayd.
type Epoch struct {
	Number uint64 `json:"number"`
}

// Epochs keeps the one epoch.
type Epochs interface {
	List() ([]Epoch, error)
	Put(id string, e Epoch) error
}

// Config is what a Service needs.
type Config struct {
	File   string // of the recent events
	Epochs Epochs
	Retain int // events that are kept at least, and at most twice; 0: 4096
	Log    *slog.Logger
}

// Service keeps the events. It is safe for concurrent use.
type Service struct {
	config Config
	ended  chan struct{} // closed by Drain

	mu       sync.Mutex
	retained []event.Event // by revision; only appended to or replaced; guarded by mu
	forgot   uint64        // of this and earlier revisions some are not retained; guarded by mu
	last     uint64        // guarded by mu
	file     *journal      // nil: not kept; guarded by mu
	changed  chan struct{} // closed by the next event; guarded by mu
	drained  bool          // guarded by mu
}

// New begins an epoch, with the events that an earlier patchbayd left. Where the
// epoch cannot be stored it goes on, for a full disk must not keep patchbayd from
// its work.
func New(c Config) (*Service, error) {
	if c.Retain == 0 {
		c.Retain = defaultRetain
	}
	stored, err := c.Epochs.List()
	if err != nil {
		return nil, fmt.Errorf("read the epoch of events: %w", err)
	}
	s := &Service{config: c, ended: make(chan struct{}), changed: make(chan struct{})}
	history, err := readJournal(c.File)
	if err != nil {
		c.Log.Warn("the events before this start are lost", "error", err)
	}
	epoch := history.last() / epochSize
	for _, e := range stored {
		epoch = max(epoch, e.Number)
	}
	epoch++
	if err := c.Epochs.Put(epochID, Epoch{Number: epoch}); err != nil {
		c.Log.Warn("the epoch of events is not stored; revisions may repeat after the host's next start", "error", err)
	}
	s.last = epoch * epochSize
	s.retained, s.forgot = history.Events, history.Forgot
	if len(history.Events) == 0 {
		s.forgot = s.last
	}
	s.rewrite()
	return s, nil
}

// Publish gives an event its revision and time and tells it to all who follow. It
// does not wait for them.
func (s *Service) Publish(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	e.Revision, e.Time = s.last, time.Now().UTC()
	s.retained = append(s.retained, e)
	if len(s.retained) >= 2*s.config.Retain {
		cut := len(s.retained) - s.config.Retain
		s.forgot = s.retained[cut-1].Revision
		s.retained = slices.Clone(s.retained[cut:])
		s.rewrite()
	} else {
		s.keep(s.file.append(e))
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// rewrite begins the file anew with what is retained; mu is held, or nobody
// else knows s.
func (s *Service) rewrite() {
	s.file.close()
	file, err := writeJournal(s.config.File, history{Forgot: s.forgot, Events: s.retained})
	s.file = file
	s.keep(err)
}

// keep gives the file up if it could not be written, as a file with a gap would be
// taken for the truth by the next patchbayd; mu is held.
func (s *Service) keep(err error) {
	if err == nil {
		return
	}
	s.config.Log.Warn("events are not kept over a restart of patchbayd", "error", err)
	s.file.remove()
	s.file = nil
}

// Follow sends the events that a query asks for, until its end or that of ctx. A
// revision whose successors are not all retained any more, be it at the beginning or
// because send is slow, is errdefs.ErrFailedPrecondition; Drain is
// errdefs.ErrUnavailable, when all is sent.
func (s *Service) Follow(ctx context.Context, q event.Query, send func(event.Event) error) error {
	if err := q.Validate(); err != nil {
		return err
	}
	after, err := s.begin(q)
	if err != nil {
		return err
	}
	until, stop := deadline(q.Until)
	defer stop()
	for {
		over := !q.Until.IsZero() && !time.Now().Before(q.Until)
		events, changed, drained, err := s.read(after)
		if err != nil {
			return err
		}
		within := events
		if i := slices.IndexFunc(events, func(e event.Event) bool { return !q.Until.IsZero() && e.Time.After(q.Until) }); i >= 0 {
			within, over = events[:i], true
		}
		if err := sendAll(within, q, send); err != nil {
			return err
		}
		if len(within) > 0 {
			after = within[len(within)-1].Revision
		}
		switch {
		case over:
			return nil
		case drained:
			return fmt.Errorf("events: patchbayd is going down; go on from revision %d when it is back: %w", after, errdefs.ErrUnavailable)
		}
		select {
		case <-changed:
		case <-until:
		case <-s.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func sendAll(events []event.Event, q event.Query, send func(event.Event) error) error {
	for _, e := range events {
		if !q.Match(e) {
			continue
		}
		if err := send(e); err != nil {
			return err
		}
	}
	return nil
}

// deadline returns a channel that a zero time never closes.
func deadline(t time.Time) (<-chan time.Time, func()) {
	if t.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(t))
	return timer.C, func() { timer.Stop() }
}

// begin returns the revision after which a query begins.
func (s *Service) begin(q event.Query) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case q.After > s.last:
		return 0, fmt.Errorf("events: revision %d: the latest one is %d: %w", q.After, s.last, errdefs.ErrInvalidArgument)
	case q.After != 0:
		return q.After, nil
	case q.Since.IsZero():
		return s.last, nil
	}
	first := slices.IndexFunc(s.retained, func(e event.Event) bool { return !e.Time.Before(q.Since) })
	if first < 0 {
		return s.last, nil
	}
	return s.retained[first].Revision - 1, nil
}

// read returns the events after a revision, and what tells of the next one.
func (s *Service) read(after uint64) (events []event.Event, changed <-chan struct{}, drained bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after < s.forgot {
		return nil, nil, false, fmt.Errorf("events: those after revision %d are no longer kept, but from %d on; look at what there is now, then go on from the latest: %w",
			after, s.forgot, errdefs.ErrFailedPrecondition)
	}
	from := sort.Search(len(s.retained), func(i int) bool { return s.retained[i].Revision > after })
	return s.retained[from:], s.changed, s.drained, nil
}

// Drain ends Follow, when all that is published has been sent.
func (s *Service) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.drained {
		s.drained = true
		close(s.ended)
	}
}

// Close ends the writing of the file, which stays for the next patchbayd.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file.close()
	s.file = nil
}

// Forget removes the file, for the end of the whole instance.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file.remove()
	s.file = nil
}
