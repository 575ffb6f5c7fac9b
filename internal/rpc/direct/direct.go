// Package direct calls servers over unix sockets without net/http, and so without what
// that brings along: a program that ends with its first answers spends more on the
// initialization of packages than on its calls.
//
// It speaks the protocol of connect (https://connectrpc.com/docs/protocol) by HTTP/1.1
// (RFC 9112), with messages that are not compressed. Calls in all ways are
// made, those that send and receive at the same time too: the servers of package rpc
// take them. Headers of answers are not passed on, which no contract has.
package direct

import (
	"context"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/internal/rpc/edge"
)

// Connection is a set of connections to one unix socket. It dials on demand
// and is safe for concurrent use.
type Connection struct {
	*connect.Client
	pool *Pool
}

// Dial returns a connection to the server on a unix socket. Nothing is sent
// until the first call; a server that is not there is errdefs.ErrUnavailable
// then. Errors of calls are of the closed set of kinds.
func Dial(socket string) *Connection { return over(newPool(socket)) }

// Connect is Dial with one connection made, for the first call, and none closed before Close. Its errors are those of
// connect(2) and ctx's. It calls begun with each call: before the request of a stream, which
// may go on for long, and after that of another call, while the server works.
func Connect(ctx context.Context, socket string, begun func()) (*Connection, error) {
	p := newPool(socket)
	p.begun, p.lasting = begun, true
	c, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	p.put(c)
	return over(p), nil
}

func over(p *Pool) *Connection {
	return &Connection{Client: connect.NewClient(p.Transport(taken{}), edge.Traced, edge.Kinds), pool: p}
}

func newPool(socket string) *Pool {
	return NewPool(func(ctx context.Context) (Conn, error) { return dialBlocking(ctx, socket) })
}

// Close drops idle connections. Running calls go on, and later ones dial again.
func (c *Connection) Close() { c.pool.Close() }

// transport makes the streams of calls.
type transport struct {
	pool *Pool
	form Form
}

func (t transport) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	c := call{transport: t, ctx: ctx, spec: spec}
	if spec.StreamType == connect.StreamTypeUnary {
		return &unary{call: c}, nil
	}
	return &stream{call: c}, nil
}
