package direct

import (
	"bufio"
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// idleTimeout is how long a connection waits for a further call: it takes memory of
	// both sides.
	idleTimeout = time.Second
	// bufferSize is that of what is received, in bytes. Most answers are smaller.
	bufferSize = 4 << 10
)

// conn is a connection to the server.
type conn struct {
	net.Conn
	r      *bufio.Reader
	expiry *time.Timer // closes it while it is idle
}

// pool keeps the connections that no call uses.
type pool struct {
	reach func(context.Context) (net.Conn, error)

	mu   sync.Mutex
	idle []*conn // guarded by mu; the one used last is last
}

// take returns an idle connection, nil if there is none.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	c.expiry.Stop()
	return c
}

// dial makes a connection.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	c, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, bufferSize)}, nil
}

// put keeps a connection for a further call.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.expiry = time.AfterFunc(idleTimeout, func() { p.expire(c) })
	p.idle = append(p.idle, c)
}

// expire closes a connection, unless a call has taken it meanwhile.
func (p *pool) expire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		c.Close()
	}
}

// clear closes all idle connections.
func (p *pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.expiry.Stop()
		c.Close()
	}
	p.idle = nil
}
