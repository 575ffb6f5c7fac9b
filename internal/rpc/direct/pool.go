package direct

import (
	"bufio"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
)

const (
	// idleTimeout is how long a connection waits for a further call: it takes memory of
	// both sides.
	idleTimeout = time.Second
	// bufferSize is that of what is received, in bytes. Most answers are smaller.
	bufferSize = 4 << 10
)

// Conn is what carries a call. Close ends a Read or Write that waits, as that of net.Conn
// does, and may be called again.
type Conn = io.ReadWriteCloser

// conn is a connection to the server.
type conn struct {
	Conn
	r      *bufio.Reader
	expiry *time.Timer // closes it while it is idle; nil: nothing does
}

func (c *conn) stay() {
	if c.expiry != nil {
		c.expiry.Stop()
	}
}

// Pool keeps the connections that no call uses.
type Pool struct {
	reach func(context.Context) (Conn, error)
	begun func() // see Connect
	// lasting is for a caller that will not be there for long, and not call often: a timer takes
	// such a process a thread. Its connections are idle until Close.
	lasting bool

	mu   sync.Mutex
	idle []*conn // guarded by mu; the one used last is last
}

// NewPool returns one without connections; reach makes them.
func NewPool(reach func(context.Context) (Conn, error)) *Pool {
	return &Pool{reach: reach, begun: func() {}}
}

// Transport makes calls over connections of the pool, with messages in a form.
func (p *Pool) Transport(form Form) connect.Transport { return transport{p, form} }

// take returns an idle connection, nil if there is none.
func (p *Pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	c.stay()
	return c
}

// dial makes a connection.
func (p *Pool) dial(ctx context.Context) (*conn, error) {
	c, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, bufferSize)}, nil
}

// put keeps a connection for a further call.
func (p *Pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lasting {
		c.expiry = time.AfterFunc(idleTimeout, func() { p.expire(c) })
	}
	p.idle = append(p.idle, c)
}

// expire closes a connection, unless a call has taken it meanwhile.
func (p *Pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.Close()
	}
}

// Close closes all idle connections. Running calls go on, and later ones make new ones.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.stay()
		c.Close()
	}
	p.idle = nil
}
