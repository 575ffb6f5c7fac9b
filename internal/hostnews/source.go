package hostnews

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/subscription"
)

// interval is between two questions whether the listener is there.
const interval = 5 * time.Second

// Source is where news come from: a listener, else the kernel. One goroutine uses it, but for
// Close, which any may call.
type Source struct {
	place    Place
	direct   func() (*subscription.Subscription, error)
	relayed  bool
	listener int  // the process of it, if the source watches it
	late     bool // the listener's answer

	mu        sync.Mutex
	now       *subscription.Subscription // guarded by mu, is changed by the one goroutine alone
	questions *time.Timer                // to the listener; nil: none; guarded by mu
	closed    bool                       // guarded by mu
}

// Open asks a listener, and where there is none the kernel, by direct, which subscribes to
// what is of interest and perhaps to more.
func Open(p Place, i Interest, direct func() (*subscription.Subscription, error)) (*Source, error) {
	s := &Source{place: p, direct: direct, relayed: true}
	relay, err := p.ask(i)
	if err == nil {
		s.now = relay.Subscription
		return s, nil
	}
	s.relayed = false
	s.now, err = direct()
	return s, err
}

// Ask is Open that asks a listener for an Answer. Without a listener that has one it is
// errors.ErrUnsupported.
func Ask(p Place, i Interest, direct func() (*subscription.Subscription, error)) (*Source, Answer, error) {
	i.Ask = true
	relay, err := p.ask(i)
	if err != nil {
		return nil, Answer{}, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if relay.answer == nil {
		relay.Close()
		return nil, Answer{}, fmt.Errorf("listener: has no answer: %w", errors.ErrUnsupported)
	}
	return &Source{place: p, direct: direct, relayed: true, now: relay.Subscription}, *relay.answer, nil
}

// Receive waits for news. Its error is unix.ENOBUFS when some may have been lost, as also
// where a listener has ended or does not answer: from then on they come from the kernel. It is os.ErrClosed after
// Close.
func (s *Source) Receive() ([]syscall.NetlinkMessage, error) {
	for {
		messages, err := s.now.Receive()
		if !s.relayed || errors.Is(err, os.ErrClosed) {
			return messages, err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !s.late {
			s.late = true // or the source itself, which was stopped: the answer may be there
			err = s.now.Bound(time.Now().Add(patience))
			if err == nil {
				continue
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) { // all others of the listener are deaf too
			slog.Warn("the listener for many networks does not answer and is killed", "pid", s.listener, "error", s.place.kill(s.listener))
		}
		if err != nil {
			if _, err := s.Own(); err != nil {
				return nil, err
			}
			return nil, unix.ENOBUFS
		}
		if messages, err = s.heed(messages); err != nil || len(messages) > 0 {
			return messages, err
		}
	}
}

// heed takes what the listener itself says out of messages; the error is unix.ENOBUFS.
func (s *Source) heed(messages []syscall.NetlinkMessage) (news []syscall.NetlinkMessage, err error) {
	for _, m := range messages {
		switch m.Header.Type {
		case Lost:
			err = unix.ENOBUFS
		case Ready:
			s.late = false
			_ = s.now.Bound(time.Time{}) // fails after Close alone, as the next Receive does
		case Watch:
			s.listener = int(m.Header.Pid)
			s.watch(s.now)
		default:
			news = append(news, m)
		}
	}
	return news, err
}

// watch asks the listener from time to time whether it is there. Receive awaits the answers.
func (s *Source) watch(listener *subscription.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.questions != nil || s.closed {
		return
	}
	s.questions = time.AfterFunc(interval, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.now != listener || s.closed {
			return
		}
		err := listener.Bound(time.Now().Add(patience))
		if err == nil {
			err = tell(listener, Interest{Question: true})
		}
		if err == nil { // else it has ended, which Receive is told
			s.questions.Reset(interval)
		}
	})
}

// Own hears the kernel itself from now on, and returns the subscription. What the listener has
// told and nobody has received is lost: the caller looks.
func (s *Source) Own() (*subscription.Subscription, error) {
	if !s.relayed {
		return s.now, nil
	}
	own, err := s.direct()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwatch()
	s.now.Close()
	s.now, s.relayed = own, false
	if s.closed {
		own.Close()
	}
	return own, nil
}

// Narrow replaces what it is about by a part of that: direct takes the place of Open's, and
// own changes the subscription where there is no listener.
func (s *Source) Narrow(i Interest, direct func() (*subscription.Subscription, error), own func(*subscription.Subscription) error) error {
	s.direct = direct
	if !s.relayed {
		return own(s.now)
	}
	return tell(s.now, i)
}

// SyscallConn implements syscall.Conn, for where news come from at the moment.
func (s *Source) SyscallConn() (syscall.RawConn, error) { return s.now.SyscallConn() }

// Close ends it; a Receive that waits fails.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.unwatch()
	s.now.Close()
}

// unwatch ends what watch began. Callers hold mu.
func (s *Source) unwatch() {
	if s.questions != nil {
		s.questions.Stop()
	}
}
