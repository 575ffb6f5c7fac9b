package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource/event"
)

// epochs is a store of one epoch; a nil error stores.
type epochs struct {
	stored []Epoch
	err    error
}

func (e *epochs) List() ([]Epoch, error) { return e.stored, nil }

func (e *epochs) Put(_ string, epoch Epoch) error {
	if e.err == nil {
		e.stored = []Epoch{epoch}
	}
	return e.err
}

func open(t *testing.T, file string, e *epochs) *Service {
	t.Helper()
	s, err := New(Config{File: file, Epochs: e, Retain: 10, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func publish(s *Service, names ...string) {
	for _, name := range names {
		s.Publish(event.Event{Type: event.Container, Action: event.ActionStart, Name: name})
	}
}

// past returns what there is for a query now.
func past(t *testing.T, s *Service, q event.Query) (names []string, last uint64, err error) {
	t.Helper()
	q.Until = time.Now()
	err = s.Follow(t.Context(), q, func(e event.Event) error {
		if e.Revision <= last {
			t.Errorf("revision %d comes after %d", e.Revision, last)
		}
		names, last = append(names, e.Name), e.Revision
		return nil
	})
	return names, last, err
}

func wantNames(t *testing.T, s *Service, q event.Query, want ...string) (last uint64) {
	t.Helper()
	names, last, err := past(t, s, q)
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("after %d since %v: got %v, %v, want %v", q.After, q.Since, names, err, want)
	}
	return last
}

var all = event.Query{Since: time.Unix(1, 0)}

func TestResume(t *testing.T) {
	t.Parallel()
	file, stored := filepath.Join(t.TempDir(), "events"), &epochs{}
	s := open(t, file, stored)
	publish(s, "a", "b")
	seen := wantNames(t, s, all, "a", "b")
	publish(s, "c")
	wantNames(t, s, event.Query{After: seen}, "c")
	s.Close()

	s = open(t, file, stored)
	publish(s, "d")
	last := wantNames(t, s, event.Query{After: seen}, "c", "d")
	wantNames(t, s, event.Query{After: last})
	if _, _, err := past(t, s, event.Query{After: last + 1}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a revision that is not given yet: %v", err)
	}

	// The host starts anew: what is after the revision is lost, and that is told.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s = open(t, file, stored)
	publish(s, "e")
	if _, _, err := past(t, s, event.Query{After: last}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a revision before a lost history: %v", err)
	}
	if now := wantNames(t, s, all, "e"); now <= last {
		t.Errorf("revision %d after the start, %d before", now, last)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	file, stored := filepath.Join(t.TempDir(), "events"), &epochs{}
	s := open(t, file, stored)
	publish(s, "0")
	first := wantNames(t, s, all, "0")
	for i := range 19 {
		publish(s, fmt.Sprint(i+1))
	}
	if _, _, err := past(t, s, event.Query{After: first}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a revision that is too old: %v", err)
	}
	want := []string{"10", "11", "12", "13", "14", "15", "16", "17", "18", "19"}
	wantNames(t, s, event.Query{After: first + 9}, want...)
	wantNames(t, s, all, want...) // a time is as good as can be
	s.Close()
	s = open(t, file, stored)
	wantNames(t, s, event.Query{After: first + 9}, want...)
	if _, _, err := past(t, s, event.Query{After: first + 8}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a revision that is too old, after a start: %v", err)
	}
}

func TestTornFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		add  string
		want []string
	}{
		"a line without end": {`{"revision":1000000003,"na`, []string{"a", "b"}},
		"garbage":            {"garbage\n", nil},
		"backwards":          {`{"revision":1000000001}` + "\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, stored := filepath.Join(t.TempDir(), "events"), &epochs{}
			s := open(t, file, stored)
			publish(s, "a", "b")
			s.Close()
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString(tt.add)
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			wantNames(t, open(t, file, stored), all, tt.want...)
			wantNames(t, open(t, file, stored), all, tt.want...) // it has been mended
		})
	}
}

// What cannot be written is told nevertheless, and the next patchbayd does not take
// a history with a gap for whole.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "gone", "events")
	stored := &epochs{stored: []Epoch{{Number: 6}}, err: errdefs.ErrResourceExhausted}
	s := open(t, file, stored)
	publish(s, "a")
	last := wantNames(t, s, all, "a")
	if last != 7*epochSize+1 {
		t.Errorf("revision %d", last)
	}
	s.Close()
	s = open(t, file, &epochs{stored: []Epoch{{Number: 7}}})
	if _, _, err := past(t, s, event.Query{After: last}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a revision of a lost history: %v", err)
	}
}

// Many who follow while many publish see all events in one order.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "events"), &epochs{})
	s.config.Retain = 1000
	const followers, publishers, each = 4, 4, 50
	seen := make([][]uint64, followers)
	var following, publishing sync.WaitGroup
	for i := range followers {
		following.Go(func() {
			err := s.Follow(t.Context(), all, func(e event.Event) error {
				seen[i] = append(seen[i], e.Revision)
				return nil
			})
			if !errdefs.IsUnavailable(err) {
				t.Errorf("end: %v", err)
			}
		})
	}
	for range publishers {
		publishing.Go(func() {
			for range each {
				publish(s, "x")
			}
		})
	}
	publishing.Wait()
	s.Drain()
	following.Wait()
	for i := range followers {
		if len(seen[i]) != publishers*each || !slices.IsSorted(seen[i]) || !slices.Equal(seen[i], seen[0]) {
			t.Errorf("follower %d saw %d events, want %d", i, len(seen[i]), publishers*each)
		}
	}
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "events"), &epochs{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Follow(ctx, event.Query{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	publish(s, "a")
	broken := errors.New("broken")
	if err := s.Follow(t.Context(), all, func(event.Event) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a sender that fails: %v", err)
	}
	bad := event.Query{Filters: []event.Filter{{Key: "colour", Value: "red"}}}
	if err := s.Follow(t.Context(), bad, nil); !errdefs.IsInvalidArgument(err) {
		t.Errorf("bad filter: %v", err)
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte("{\"forgot\":5}\n{\"revision\":6}\n{\"revision\":8}\n"))
	f.Add([]byte("{\"forgot\":5}\n{\"revision\":5}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parseJournal(data)
		if err != nil {
			return
		}
		last := h.Forgot
		for _, e := range h.Events {
			if e.Revision <= last {
				t.Fatalf("revision %d after %d", e.Revision, last)
			}
			last = e.Revision
		}
	})
}
