package rpc

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"patchbay.dev/patchbay/internal/rpc/direct"
	"patchbay.dev/patchbay/internal/rpc/edge"
)

// Connection is a set of connections to one unix socket. It dials on demand
// and is safe for concurrent use.
type Connection struct {
	*connect.Client
	transport *hybrid
	close     func()
}

// SpeakJSON makes later calls send messages in their JSON form, or the binary
// one again. Servers answer in the form that they are asked in; one that does not
// take it (HTTP status 415) is asked in the other one from then on.
func (c *Connection) SpeakJSON(json bool) { c.transport.json.Store(json) }

// InPieces returns a context for calls whose answers are read while they come, as direct.InPieces does.
func InPieces(ctx context.Context) context.Context { return direct.InPieces(ctx) }

// Dial returns a connection to the server on a unix socket. Nothing is sent
// until the first call; a server that is not there is errdefs.ErrUnavailable
// then. Errors of calls are of the closed set of kinds.
func Dial(socket string) *Connection {
	return DialBy(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	})
}

// DialBy is Dial for a server that is reached in another way than by a socket of
// this host.
func DialBy(reach func(context.Context) (net.Conn, error)) *Connection {
	pool := direct.NewPool(func(ctx context.Context) (direct.Conn, error) { return reach(ctx) })
	var h2 atomic.Pointer[http.Transport] // few servers are ever called in all ways
	transport := &hybrid{
		binary: pool.Transport(direct.Binary{}),
		text:   pool.Transport(text{}),
		twoWay: sync.OnceValue(func() connect.Transport {
			h2.Store(overHTTP2(reach))
			return connecthttp.NewTransport(&http.Client{Transport: h2.Load()}, authority, uncompressed, Codecs())
		}),
	}
	return &Connection{
		Client:    connect.NewClient(transport, edge.Traced, edge.Kinds),
		transport: transport,
		close: func() {
			pool.Close()
			if used := h2.Load(); used != nil {
				used.CloseIdleConnections()
			}
		},
	}
}

// authority stands for the server in requests; nobody looks at it.
const authority = "http://patchbay"

// uncompressed has answers not compressed: that takes a process that is just beginning
// milliseconds, and to send them to the same machine nothing.
var uncompressed = connecthttp.WithCompressors()

const (
	// idleTimeout is how long a connection waits for a further call. It takes some 30
	// KiB of both sides, and to make another one 0.1 ms.
	idleTimeout = time.Second
	// bufferSize is that of a connection, in bytes, for each direction. Messages are
	// mostly smaller, and large ones go past the buffers.
	bufferSize = 1 << 10
)

func overHTTP2(reach func(context.Context) (net.Conn, error)) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return reach(ctx) },
		Protocols:   protocols, MaxIdleConnsPerHost: 16, IdleConnTimeout: idleTimeout,
		ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
	}
}

// Close drops idle connections. Running calls go on, and later ones dial again:
// a server that took another's place at the socket is met this way.
func (c *Connection) Close() { c.close() }

// hybrid sends what needs no HTTP/2 by HTTP/1.1, without net/http.
type hybrid struct {
	binary, text connect.Transport
	twoWay       func() connect.Transport
	json         atomic.Bool
}

func (h *hybrid) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	if spec.StreamType&connect.StreamTypeClient != 0 {
		return h.twoWay().NewClientStream(ctx, spec)
	}
	return h.negotiate(ctx, spec)
}
