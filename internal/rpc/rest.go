package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"

	"patchbay.dev/patchbay/internal/rpc/hangup"
	"patchbay.dev/patchbay/internal/wire"
)

// Rest is what is left of a stream whose handler has nothing more to do: it goes on, more may be
// sent, and either side may end it. Over HTTP/1.1 it takes no goroutine and no buffers, only its
// socket.
type Rest struct {
	gone   func()
	socket *hangup.Socket // nil: the handler waits
	json   bool           // the form of messages on the socket

	ctx  context.Context //nolint:containedctx // of the handler that waits
	over chan error      // what the handler that waits is to return
	// What it is to send, and whether it has returned.
	messages chan func() error
	returned chan struct{}

	mu    sync.Mutex
	code  string            // guarded by mu; what it ended with, empty: it goes on
	ended func(code string) // guarded by mu; nil: nobody is told yet
}

// backlog is how many messages wait for a handler that sends.
const backlog = 16

// Leave begins the rest of the stream that ctx is of: the handler sends by Send alone, and returns
// what Wait returns. gone is called once, when the caller, End or the server has ended the
// stream.
func Leave(ctx context.Context, gone func()) *Rest {
	r := &Rest{gone: gone}
	if p, ok := ctx.Value(parkingKey{}).(*parking); ok && p.park(ctx, r) {
		return r
	}
	r.ctx, r.over = ctx, make(chan error, 1)
	r.messages, r.returned = make(chan func() error, backlog), make(chan struct{})
	return r
}

// Wait returns at once where nothing has to wait.
func (r *Rest) Wait() error {
	if r.ctx == nil {
		return nil
	}
	defer r.gone()
	defer close(r.returned)
	for {
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case err := <-r.over:
			return err
		case send := <-r.messages:
			if err := send(); err != nil {
				return err
			}
		}
	}
}

// errEnded is Send's.
var errEnded = fmt.Errorf("the stream has ended: %w", errdefs.ErrUnavailable)

// Send sends one more message; stream is that of the handler, which sends it where it waits. Nobody
// waits for a caller who does not take what is sent: the stream ends. An error of kind
// errdefs.ErrUnavailable says that it has ended before.
func Send[M proto.Message](r *Rest, message M, stream interface{ Send(M) error }) error {
	if r.ctx != nil {
		return r.queue(func() error { return stream.Send(message) })
	}
	data, err := chunk(message, r.json)
	if err != nil {
		return err
	}
	if r.socket == nil || !r.socket.Send(data) {
		return errEnded
	}
	return nil
}

// queue leaves a message to the handler that waits.
func (r *Rest) queue(send func() error) error {
	select {
	case <-r.returned:
		return errEnded
	default:
	}
	select {
	case r.messages <- send:
	default:
		r.End(fmt.Errorf("the caller does not take what is sent: %w", errdefs.ErrResourceExhausted))
	}
	return nil
}

// chunk is a message of a stream in an envelope (https://connectrpc.com/docs/protocol#streaming-rpcs),
// in a chunk (RFC 9112, section 7.1).
func chunk(message proto.Message, json bool) (data []byte, err error) {
	const prefix = 5 // no flags, and the length
	data = make([]byte, prefix, 512)
	if json {
		data, err = text{}.MarshalAppend(data, message)
	} else {
		data, err = proto.MarshalOptions{}.MarshalAppend(data, message)
	}
	if err != nil {
		return nil, fmt.Errorf("message of a stream: %w", err)
	}
	binary.BigEndian.PutUint32(data[1:], uint32(len(data)-prefix)) //nolint:gosec // messages are small
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data), nil
}

// End ends the stream with an error, which the caller gets. It does not wait for gone.
func (r *Rest) End(err error) {
	if r.ctx != nil {
		select {
		case r.over <- err:
		default: // it has been ended already
		}
		return
	}
	status := wire.ErrorToStatus(err)
	if r.socket != nil && r.socket.End(lastChunks(status)) {
		go r.finish(connect.CodeOf(status).String())
	}
}

// finish tells that the stream has ended.
func (r *Rest) finish(code string) {
	r.mu.Lock()
	r.code = code
	ended := r.ended
	r.mu.Unlock()
	if ended != nil {
		ended(code)
	}
	r.gone()
}

// observe has ended called when the stream has ended.
func (r *Rest) observe(ended func(code string)) {
	r.mu.Lock()
	r.ended = ended
	code := r.code
	r.mu.Unlock()
	if code != "" {
		ended(code)
	}
}

// lastChunks is the end of a stream's answer (https://connectrpc.com/docs/protocol#streaming-response)
// in chunks (RFC 9112, section 7.1).
func lastChunks(err error) []byte {
	end := &body{header: make(http.Header)}
	request := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {contentStream + "proto"}}}
	if connecthttp.NewErrorWriter().Write(end, request, err) != nil || end.Len() == 0 {
		return nil // the end of the connection says enough
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", end.Len(), end.Bytes())
}

// body is an http.ResponseWriter that keeps the body alone.
type body struct {
	bytes.Buffer
	header http.Header
}

func (b *body) Header() http.Header { return b.header }
func (b *body) WriteHeader(int)     {}

// contentStream begins the content types of streams, whatever form their messages have.
const contentStream = "application/connect+"

type parkingKey struct{}

// parking is the http.ResponseWriter of a stream that may be left. Nothing is written after
// that: the connection is no longer the HTTP server's then.
type parking struct {
	http.ResponseWriter
	watcher *hangup.Watcher
	json    bool  // the form of messages
	rest    *Rest // nil: the handler is there
}

// leavable lets handlers leave streams of HTTP/1.1, which have a connection of their own.
func leavable(watcher *hangup.Watcher, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if form, stream := strings.CutPrefix(r.Header.Get("Content-Type"), contentStream); stream && r.ProtoAtLeast(1, 1) {
			p := &parking{ResponseWriter: w, watcher: watcher, json: strings.HasPrefix(form, text{}.Name())}
			w, r = p, r.WithContext(context.WithValue(r.Context(), parkingKey{}, p))
		}
		next.ServeHTTP(w, r)
	})
}

// leftFrom returns the rest of the stream that ctx is of, nil while its handler is there.
func leftFrom(ctx context.Context) *Rest {
	if p, ok := ctx.Value(parkingKey{}).(*parking); ok {
		return p.rest
	}
	return nil
}

// park takes the connection from the HTTP server. It returns false where the handler has to
// wait: for a deadline, and on connections of HTTP/2, which are others' too.
func (p *parking) park(ctx context.Context, r *Rest) bool {
	_, limited := ctx.Deadline()
	if _, socket := PeerFrom(ctx); limited || !socket {
		return false
	}
	c, _, err := http.NewResponseController(p.ResponseWriter).Hijack()
	if err != nil {
		return false
	}
	p.rest = r
	r.json = p.json
	if r.socket, err = p.watcher.Watch(c, func() { r.finish(connect.CodeCanceled.String()) }); err != nil {
		c.Close()
		r.finish(connect.CodeUnavailable.String())
	}
	return true
}

func (p *parking) Write(data []byte) (int, error) {
	if p.rest != nil {
		return len(data), nil
	}
	return p.ResponseWriter.Write(data)
}

func (p *parking) WriteHeader(status int) {
	if p.rest == nil {
		p.ResponseWriter.WriteHeader(status)
	}
}

// Flush implements http.Flusher, without which connect sends no streams.
func (p *parking) Flush() {
	if p.rest == nil {
		p.ResponseWriter.(http.Flusher).Flush() //nolint:forcetypeassert // those of net/http are
	}
}

// Unwrap is for http.ResponseController.
func (p *parking) Unwrap() http.ResponseWriter { return p.ResponseWriter }
