package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// batcher sends several requests in one system call and collects their
// answers: the kernel works through all of them, also after one that fails.
type batcher struct {
	mu sync.Mutex // one exchange at a time
	// socket belongs to the namespace that it was opened in.
	socket *nl.NetlinkSocket
	fd     int
}

func newBatcher(at vns.NsHandle) (*batcher, error) {
	socket, err := nl.GetNetlinkSocketAt(at, vns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &batcher{socket: socket, fd: socket.GetFd()}, nil
}

func (b *batcher) close() { b.socket.Close() }

// stepError says which request of a batch failed.
type stepError struct {
	step int
	err  error
}

func (e stepError) Error() string { return e.err.Error() }
func (e stepError) Unwrap() error { return e.err }

// request returns a request that batcher.do waits for.
func request(kind, flags int) *nl.NetlinkRequest {
	return nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
}

// optional marks a request whose failure does not matter.
func optional(r *nl.NetlinkRequest) *nl.NetlinkRequest {
	r.Flags &^= unix.NLM_F_ACK
	return r
}

// step is a request of a longer job.
type step struct {
	request *nl.NetlinkRequest
	what    string     // is done, for the error
	done    unix.Errno // says that it had been done before, which is no failure
}

// run makes all steps at once and returns the first failure, with its kind.
func (b *batcher) run(steps []step) error {
	requests := make([]*nl.NetlinkRequest, len(steps))
	tolerated := make(map[uint32]unix.Errno)
	for i, s := range steps {
		requests[i] = s.request
		tolerated[s.request.Seq] = s.done
	}
	err := b.exchange(requests, tolerated)
	var failed stepError
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", steps[failed.step].what, kindOf(failed.err))
	}
	return err
}

// do sends the requests and returns the error of the first that failed, a
// stepError; those marked optional do not count.
func (b *batcher) do(requests ...*nl.NetlinkRequest) error {
	return b.exchange(requests, nil)
}

// exchange is do, but for the errors that are tolerated, by sequence number.
func (b *batcher) exchange(requests []*nl.NetlinkRequest, tolerated map[uint32]unix.Errno) error {
	if len(requests) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	var out []byte
	steps := make(map[uint32]int, len(requests))
	for i, r := range requests {
		out = append(out, r.Serialize()...)
		out = append(out, make([]byte, align(len(out))-len(out))...)
		if r.Flags&unix.NLM_F_ACK != 0 {
			steps[r.Seq] = i
		}
	}
	if err := unix.Sendto(b.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: send: %w", err)
	}
	return b.collect(steps, tolerated)
}

// collect reads one answer for each step.
func (b *batcher) collect(steps map[uint32]int, tolerated map[uint32]unix.Errno) error {
	first := stepError{step: len(steps)}
	for len(steps) > 0 {
		messages, _, err := b.socket.Receive()
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
			if code != 0 && code != tolerated[m.Header.Seq] && step < first.step {
				first = stepError{step: step, err: code}
			}
		}
	}
	if first.err != nil {
		return first
	}
	return nil
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
