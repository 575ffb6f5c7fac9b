package plain

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"patchbay.dev/patchbay/internal/rpc/hangup"
	"patchbay.dev/patchbay/internal/stack"
)

const (
	// bufferSize is that of what is received, in bytes. Most requests are smaller, and all
	// heads are.
	bufferSize = 4 << 10
	// restTimeout is how long the rest of a request may take that has begun.
	restTimeout = 10 * time.Second
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// conn is a connection.
type conn struct {
	net.Conn
	socket  syscall.Conn // of the same
	server  *Server
	ctx     context.Context //nolint:containedctx // of its calls
	buffer  *[bufferSize]byte
	read    []byte // of buffer, what is to be looked at
	limited bool   // reading has a deadline

	mu     sync.Mutex
	gone   bool               // guarded by mu; the other side has ended
	cancel context.CancelFunc // guarded by mu; of the running call
	mark   *hangup.Mark       // guarded by mu; nil: nobody has asked whether the other side ends
}

// serve answers calls until the connection is closed, taken or handed over.
func (c *conn) serve() {
	stack.Grow()
	c.buffer = buffers.Get().(*[bufferSize]byte) //nolint:forcetypeassert // those of the pool are
	defer buffers.Put(c.buffer)
	defer c.server.forget(c)
	defer c.unwatch()
	for {
		r, v, err := c.next()
		if err == nil && v == other {
			c.server.HandOver(c.Conn, slices.Clone(c.read))
			return
		}
		if err != nil || !c.server.busy(c, true) {
			c.Close()
			return
		}
		message, err := c.message(r)
		if err != nil {
			c.Close()
			return
		}
		if !c.answer(r, message) {
			return
		}
		if !c.server.busy(c, false) {
			c.Close()
			return
		}
	}
}

// next reads the head of a request. What follows it is in c.read, and all of it where it is
// no plain call.
func (c *conn) next() (r request, v verdict, err error) {
	for {
		if r, v = c.server.parse(c.read); v != incomplete {
			break
		}
		if len(c.read) == bufferSize {
			v = other
			break
		}
		if err := c.more(); err != nil {
			return r, v, err
		}
	}
	if v == other {
		return r, v, c.unlimited()
	}
	c.read = c.read[r.size:]
	return r, v, nil
}

// more reads what there is.
func (c *conn) more() error {
	if len(c.read) > 0 {
		if err := c.limit(); err != nil {
			return err
		}
	}
	kept := copy(c.buffer[:], c.read)
	n, err := c.Conn.Read(c.buffer[kept:])
	c.read = c.buffer[:kept+n]
	return err
}

// message reads what follows a head. It is valid until more is read.
func (c *conn) message(r request) (message []byte, err error) {
	if n := min(r.length, len(c.read)); n == r.length {
		message, c.read = c.read[:n], c.read[n:]
	} else {
		message = make([]byte, r.length)
		copy(message, c.read)
		c.read = nil
		if err = c.limit(); err == nil {
			_, err = io.ReadFull(c.Conn, message[n:])
		}
	}
	if err != nil {
		return nil, err
	}
	return message, c.unlimited()
}

// limit has the rest of a request come in time.
func (c *conn) limit() error {
	if c.limited {
		return nil
	}
	c.limited = true
	return c.SetReadDeadline(time.Now().Add(restTimeout))
}

func (c *conn) unlimited() error {
	if !c.limited {
		return nil
	}
	c.limited = false
	return c.SetReadDeadline(time.Time{})
}

// begin returns the context of a call.
func (c *conn) begin(r request, s *stream) *callContext {
	call := &callContext{conn: c, stream: s}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.limited {
		call.Context, c.cancel = context.WithTimeout(c.ctx, r.timeout)
	} else {
		call.Context, c.cancel = context.WithCancel(c.ctx)
	}
	if c.gone {
		c.cancel()
	}
	return call
}

// end ends the context of the call.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
	c.cancel = nil
}

// hangup ends the running call: its caller has gone.
func (c *conn) hangup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	if c.cancel != nil {
		c.cancel()
	}
}

// await has hangup called when the other side ends.
func (c *conn) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mark == nil && !c.gone {
		c.mark = c.server.Watcher.Notice(c.socket, c.hangup)
	}
}

func (c *conn) unwatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	c.mark.Forget()
}

// callContext ends with its call, or with the caller. That is watched for only when somebody
// asks, which costs a system call for each connection.
type callContext struct {
	context.Context //nolint:containedctx // it is one
	conn            *conn
	stream          *stream
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.conn.await()
	return c.Context.Done()
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.conn.await()
	return c.Context.Err()
}

type streamKey struct{}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if key == (streamKey{}) {
		return c.stream
	}
	return c.Context.Value(key)
}
