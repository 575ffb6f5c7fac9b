package hostnews

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/subscription"
)

// Source is where news come from: a listener, else the kernel. One goroutine uses it, but for
// Close, which any may call.
type Source struct {
	direct  func() (*subscription.Subscription, error)
	relayed bool

	mu     sync.Mutex
	now    *subscription.Subscription // guarded by mu, is changed by the one goroutine alone
	closed bool                       // guarded by mu
}

// Open asks a listener, and where there is none the kernel, by direct, which subscribes to
// what is of interest and perhaps to more.
func Open(p Place, i Interest, direct func() (*subscription.Subscription, error)) (*Source, error) {
	s := &Source{direct: direct, relayed: true}
	var err error
	if s.now, err = p.ask(i); err == nil {
		return s, nil
	}
	s.relayed = false
	s.now, err = direct()
	return s, err
}

// Receive waits for news. Its error is unix.ENOBUFS when some may have been lost, as also
// where a listener has ended: from then on they come from the kernel. It is os.ErrClosed after
// Close.
func (s *Source) Receive() ([]syscall.NetlinkMessage, error) {
	messages, err := s.now.Receive()
	if !s.relayed || errors.Is(err, os.ErrClosed) {
		return messages, err
	}
	if err != nil {
		if _, err := s.Own(); err != nil {
			return nil, err
		}
		return nil, unix.ENOBUFS
	}
	for _, m := range messages {
		if m.Header.Type == Lost {
			return nil, unix.ENOBUFS
		}
	}
	return messages, nil
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
	s.now.Close()
}
