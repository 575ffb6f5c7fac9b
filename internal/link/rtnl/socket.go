// Package rtnl makes requests of rtnetlink(7) about links, addresses and routes, and
// sends many of them in one system call.
package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Socket sends several requests in one system call and collects their answers:
// the kernel works through all of them, also after one that fails. It may be used
// by several goroutines.
type Socket struct {
	mu sync.Mutex // one exchange at a time
	// socket belongs to the namespace that it was opened in.
	socket *nl.NetlinkSocket
	fd     int
}

// Open returns a socket in the namespace at, or in the caller's when that is
// none.
func Open(at vns.NsHandle) (*Socket, error) {
	socket, err := nl.GetNetlinkSocketAt(at, vns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	// Before Linux 4.20 there is none of it, and listings are longer.
	_ = unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &Socket{socket: socket, fd: socket.GetFd()}, nil
}

// Close ends the use of the socket.
func (s *Socket) Close() { s.socket.Close() }

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
	What    string     // is done, for the error
	Done    unix.Errno // says that it had been done before, which is no failure
}

// Run makes all steps at once and returns the first failure, with its kind.
func (s *Socket) Run(steps []Step) error {
	requests := make([]*nl.NetlinkRequest, len(steps))
	tolerated := make(map[uint32]unix.Errno)
	for i, step := range steps {
		requests[i] = step.Request
		tolerated[step.Request.Seq] = step.Done
	}
	err := s.exchange(requests, tolerated)
	var failed StepError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", steps[failed.Step].What, KindOf(failed.Err))
	}
	return err
}

// Do sends the requests and returns the error of the first that failed, a
// StepError; those marked Optional do not count.
func (s *Socket) Do(requests ...*nl.NetlinkRequest) error {
	return s.exchange(requests, nil)
}

// exchange is Do, but for the errors that are tolerated, by sequence number.
func (s *Socket) exchange(requests []*nl.NetlinkRequest, tolerated map[uint32]unix.Errno) error {
	if len(requests) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	var out []byte
	steps := make(map[uint32]int, len(requests))
	for i, r := range requests {
		out = append(out, r.Serialize()...)
		out = append(out, make([]byte, align(len(out))-len(out))...)
		if r.Flags&unix.NLM_F_ACK != 0 {
			steps[r.Seq] = i
		}
	}
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: send: %w", err)
	}
	return s.collect(steps, tolerated)
}

// collect reads one answer for each step.
func (s *Socket) collect(steps map[uint32]int, tolerated map[uint32]unix.Errno) error {
	first := StepError{Step: math.MaxInt}
	for len(steps) > 0 {
		messages, _, err := s.socket.Receive()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("netlink: receive: %w", err)
		}
		for _, m := range messages {
			step, ours := steps[m.Header.Seq]
			if !ours || m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
				continue
			}
			delete(steps, m.Header.Seq)
			code := unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			if code != 0 && code != tolerated[m.Header.Seq] && step < first.Step {
				first = StepError{Step: step, Err: code}
			}
		}
	}
	if first.Err != nil {
		return first
	}
	return nil
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
