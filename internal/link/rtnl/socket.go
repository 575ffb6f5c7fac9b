// Package rtnl makes requests of rtnetlink(7) about links, addresses and routes, and
// sends many of them in one system call.
package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
)

// Socket sends several requests in one system call and collects their answers:
// the kernel works through all of them, also after one that fails, before the call
// returns. It may be used by several goroutines.
type Socket struct {
	mu     sync.Mutex // one exchange at a time
	fd     int        // belongs to the namespace that it was opened in
	news   int        // another one, for RunSettled; -1: there is none yet
	buffer []byte     // guarded by mu; nil: nothing was received yet
}

// The room for an answer, in bytes: for one message, and for a part of a listing, which the
// kernel makes as long as there is room for it.
const (
	messageSize = 8 << 10
	listingSize = 32 << 10
)

// Open returns a socket in a namespace, or where that is nil in the caller's.
func Open(ns *netns.Namespace) (*Socket, error) {
	s := &Socket{news: -1}
	return s.opened(open(ns, &s.fd))
}

// OpenToSettle is Open for who calls RunSettled.
func OpenToSettle(ns *netns.Namespace) (*Socket, error) {
	if ns == nil {
		return Open(nil) // what RunSettled needs can be had later too, without another thread
	}
	s := &Socket{}
	return s.opened(open(ns, &s.fd, &s.news))
}

func (s *Socket) opened(err error) (*Socket, error) {
	if err != nil {
		return nil, err
	}
	// Before Linux 4.20 there is none of it, and listings are longer.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return s, nil
}

// open opens all sockets or none.
func open(ns *netns.Namespace, sockets ...*int) error {
	var fds []int
	err := within(ns, func() error {
		for range sockets {
			fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
			if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
				return err
			}
		}
		return nil
	})
	for i, fd := range fds {
		if err != nil {
			_ = unix.Close(fd)
		} else {
			*sockets[i] = fd
		}
	}
	return err
}

// within runs f in a namespace, or where that is nil in the caller's.
func within(ns *netns.Namespace, f func() error) error {
	if ns == nil {
		return f()
	}
	return ns.Do(f)
}

// Close ends the use of the socket, after an exchange that is under way.
func (s *Socket) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range []*int{&s.fd, &s.news} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// Index returns that of the link of a name, which the kernel tells without waiting for who
// changes links; unix.ENODEV where there is none.
func (s *Socket) Index(name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err != nil { // too long for a name
		return 0, unix.ENODEV
	}
	if err := unix.IoctlIfreq(s.fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, err
	}
	return int(request.Uint32()), nil
}

// Exists reports whether there is a link of that index, likewise.
func (s *Socket) Exists(index int) (bool, error) {
	request, err := unix.NewIfreq("")
	if err != nil {
		return false, err
	}
	request.SetUint32(uint32(index)) //nolint:gosec // the kernel's own
	err = unix.IoctlIfreq(s.fd, unix.SIOCGIFNAME, request)
	if errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	return err == nil, err
}

// StepError says which request of several failed.
type StepError struct {
	Step int // counted from 0
	Err  error
}

func (e StepError) Error() string { return e.Err.Error() }
func (e StepError) Unwrap() error { return e.Err }

// Request returns a request that Do waits for.
func Request(kind, flags int) *nl.NetlinkRequest {
	return nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
}

// Optional marks a request whose failure does not matter.
func Optional(r *nl.NetlinkRequest) *nl.NetlinkRequest {
	r.Flags &^= unix.NLM_F_ACK
	return r
}

// Step is a request of a longer job.
type Step struct {
	Request *nl.NetlinkRequest
	What    func() string // is done, for the error; most steps have none
	Done    unix.Errno    // says that it had been done before, which is no failure
}

// Run makes all steps at once and returns the first failure, with its kind.
func (s *Socket) Run(steps []Step) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run(steps)
}

// run is Run; callers hold mu.
func (s *Socket) run(steps []Step) error {
	requests := make([]*nl.NetlinkRequest, len(steps))
	for i, step := range steps {
		requests[i] = step.Request
	}
	err := s.exchange(requests, steps)
	var failed StepError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", steps[failed.Step].What(), KindOf(failed.Err))
	}
	return err
}

// Do sends the requests and returns the error of the first that failed, a
// StepError; those marked Optional do not count.
func (s *Socket) Do(requests ...*nl.NetlinkRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchange(requests, nil)
}

// exchange is Do, but for the errors that steps tolerate; nil: none. The kernel
// answers the requests in their order, a failure in any case and a success where it is
// asked to: which is with the last one alone. Callers hold mu.
func (s *Socket) exchange(requests []*nl.NetlinkRequest, steps []Step) error {
	const flagsAt, mostLonger = 6, 96 // of struct nlmsghdr; most requests are shorter
	out, last, flags := make([]byte, 0, len(requests)*mostLonger), -1, 0
	for i, r := range requests {
		begin := len(out)
		out = append(out, r.Serialize()...)
		for len(out)%unix.NLMSG_ALIGNTO != 0 {
			out = append(out, 0)
		}
		if awaited(r) {
			last, flags = i, begin+flagsAt
			binary.NativeEndian.PutUint16(out[flags:], r.Flags&^unix.NLM_F_ACK)
		}
	}
	if len(out) == 0 {
		return nil
	}
	if last >= 0 {
		binary.NativeEndian.PutUint16(out[flags:], requests[last].Flags)
	}
	if err := s.send(out); err != nil || last < 0 {
		return err
	}
	return s.collect(requests, last, steps)
}

// awaited reports whether a request is not marked Optional.
func awaited(r *nl.NetlinkRequest) bool { return r.Flags&unix.NLM_F_ACK != 0 }

func (s *Socket) send(out []byte) error {
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: send: %w", err)
	}
	return nil
}

// receive waits for the next messages of one of its sockets and calls each with them, which are valid until it
// returns. One that there is no room for is lost: unix.EMSGSIZE.
func (s *Socket) receive(fd, room int, each func(syscall.NetlinkMessage)) error {
	if len(s.buffer) < room {
		s.buffer = make([]byte, room)
	}
	for {
		n, _, err := unix.Recvfrom(fd, s.buffer, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("netlink: receive: %w", err)
		case n > len(s.buffer):
			return fmt.Errorf("netlink: receive: %w", unix.EMSGSIZE)
		}
		if err := eachMessage(s.buffer[:n], each); err != nil {
			return fmt.Errorf("netlink: receive: %w", err)
		}
		return nil
	}
}

// collect reads answers up to that of the last request that is awaited, and returns the
// failure of the first one that has one that its step does not tolerate.
func (s *Socket) collect(requests []*nl.NetlinkRequest, last int, steps []Step) error {
	first := StepError{Step: math.MaxInt}
	ended := false
	take := func(m syscall.NetlinkMessage) {
		// Answers are few: all requests but the last are answered if they fail.
		i := slices.IndexFunc(requests, func(r *nl.NetlinkRequest) bool { return r.Seq == m.Header.Seq && awaited(r) })
		if i < 0 || m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
			return
		}
		ended = ended || i == last
		code := unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		if code != 0 && i < first.Step && (steps == nil || code != steps[i].Done) {
			first = StepError{Step: i, Err: code}
		}
	}
	for !ended {
		err := s.receive(s.fd, messageSize, take)
		if err != nil && !errors.Is(err, unix.EMSGSIZE) { // what is long is no answer that matters here
			return err
		}
	}
	if first.Err != nil {
		return first
	}
	return nil
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
