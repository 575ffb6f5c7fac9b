package userstack

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// connectTime is how long the outside may take to accept a connection.
	connectTime = 30 * time.Second
	// chunk is how much of a connection is carried at once.
	chunk = 128 << 10
)

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// acceptTCP carries one connection. The container's is accepted when the outside
// has accepted, and refused where that refuses.
func (s *Stack) acceptTCP(r *tcp.ForwarderRequest) {
	id := r.ID()
	f, ok := s.begin(fromAddress(id.RemoteAddress))
	if !ok {
		r.Complete(true)
		return
	}
	defer f.end()
	limited, cancel := context.WithTimeout(f, connectTime)
	outside, err := s.dial(limited, "tcp", fromAddress(id.LocalAddress), id.LocalPort)
	cancel()
	if err != nil {
		r.Complete(true)
		return
	}
	defer outside.Close()
	if f.Err() != nil {
		r.Complete(true)
		return
	}
	var queue waiter.Queue
	inside, fault := r.CreateEndpoint(&queue)
	r.Complete(fault != nil)
	if fault != nil {
		return
	}
	c := connection{inside: gonet.NewTCPConn(&queue, inside), reset: inside.Abort, outside: outside}
	c.carry(f)
}

// connection is one of a container, carried on by one of the host.
type connection struct {
	inside  *gonet.TCPConn
	reset   func()   // resets inside
	outside net.Conn // of TCP
}

// carry carries until both sides have said their last, one of them breaks, or ctx
// ends.
func (c connection) carry(ctx context.Context) {
	defer context.AfterFunc(ctx, c.abort)()
	defer c.inside.Close() //nolint:errcheck // it cannot fail
	var ways sync.WaitGroup
	ways.Go(func() { c.way(c.outside.(*net.TCPConn), c.inside) })
	ways.Go(func() { c.way(c.inside, c.outside) })
	ways.Wait()
}

// way carries one way. The end of what the one side says is passed on alone: the
// other may go on (RFC 9293, section 3.6).
func (c connection) way(to halfCloser, from io.Reader) {
	buffer := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buffer)
	// Both are shown as what they are at least: else each would copy its own way,
	// by smaller buffers.
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buffer[:])
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.abort()
	}
}

type halfCloser interface {
	io.Writer
	CloseWrite() error
}

// abort resets both sides.
func (c connection) abort() {
	c.reset()
	_ = c.outside.(*net.TCPConn).SetLinger(0)
	c.outside.Close()
}
