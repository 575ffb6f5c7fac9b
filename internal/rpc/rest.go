package rpc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/internal/rpc/hangup"
	"patchbay.dev/patchbay/internal/rpc/jsonform"
	"patchbay.dev/patchbay/internal/rpc/plain"
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
func Send[M message.Message](r *Rest, msg M, stream interface{ Send(M) error }) error {
	if r.ctx != nil {
		return r.queue(func() error { return stream.Send(msg) })
	}
	form := message.Append
	if r.json {
		form = jsonform.Append
	}
	data, err := plain.Chunk(msg, form)
	if err != nil {
		return fmt.Errorf("message of a stream: %w", err)
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
	end := encode(contentStream+"proto", err)
	if end.Len() == 0 {
		return nil // the end of the connection says enough
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", end.Len(), end.Bytes())
}

// refusal is the answer to a unary call that is an error
// (https://connectrpc.com/docs/protocol#error-end-stream).
func refusal(err error) []byte {
	b := encode("application/proto", err)
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		b.status, http.StatusText(b.status), b.header.Get("Content-Type"), b.Len(), b.Bytes())
}

// encode is what answers a request with such a content to say that it ends with an error, or
// without.
func encode(content string, err error) *body {
	b := &body{header: make(http.Header), status: http.StatusOK}
	request := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {content}}}
	_ = errorWriter().Write(b, request, err) // to memory
	return b
}

// errorWriter is made once: it has tables of forms and compressions.
var errorWriter = sync.OnceValue(func() *connecthttp.ErrorWriter { return connecthttp.NewErrorWriter() })

// body is an http.ResponseWriter that keeps what is written.
type body struct {
	bytes.Buffer
	header http.Header
	status int
}

func (b *body) Header() http.Header    { return b.header }
func (b *body) WriteHeader(status int) { b.status = status }

// contentStream begins the content types of streams, whatever form their messages have.
const contentStream = "application/connect+"

type parkingKey struct{}

// parking is where a stream can be left.
type parking struct {
	watcher *hangup.Watcher
	take    func() (net.Conn, error) // the connection from its server, which sends nothing from then on
	json    bool                     // the form of messages
	rest    *Rest                    // nil: the handler is there
}

// leavable lets handlers leave streams of HTTP/1.1, which have a connection of their own.
func (s *Server) leavable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if form, stream := strings.CutPrefix(r.Header.Get("Content-Type"), contentStream); stream && r.ProtoAtLeast(1, 1) {
			p := &parking{watcher: &s.left, json: strings.HasPrefix(form, text{}.Name()), take: func() (net.Conn, error) {
				c, _, err := http.NewResponseController(w).Hijack()
				return c, err
			}}
			w, r = &parkedWriter{ResponseWriter: w, parking: p}, r.WithContext(context.WithValue(r.Context(), parkingKey{}, p))
		}
		next.ServeHTTP(w, r)
	})
}

// leavablePlain is leavable for streams of plain calls.
func (s *Server) leavablePlain(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		if !plain.Streams(ctx) {
			return next(ctx, spec, stream)
		}
		p := &parking{watcher: &s.left, take: func() (net.Conn, error) { return plain.Take(ctx), nil }}
		return next(context.WithValue(ctx, parkingKey{}, p), spec, stream)
	}
}

// leftFrom returns the rest of the stream that ctx is of, nil while its handler is there.
func leftFrom(ctx context.Context) *Rest {
	if p, ok := ctx.Value(parkingKey{}).(*parking); ok {
		return p.rest
	}
	return nil
}

// park takes the connection from the server. It returns false where the handler has to wait:
// for a deadline, and on connections of HTTP/2, which are others' too.
func (p *parking) park(ctx context.Context, r *Rest) bool {
	_, limited := ctx.Deadline()
	if _, socket := PeerFrom(ctx); limited || !socket {
		return false
	}
	c, err := p.take()
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

// parkedWriter is the http.ResponseWriter of a stream that may be left.
type parkedWriter struct {
	http.ResponseWriter
	*parking
}

func (w *parkedWriter) Write(data []byte) (int, error) {
	if w.rest != nil {
		return len(data), nil
	}
	return w.ResponseWriter.Write(data)
}

func (w *parkedWriter) WriteHeader(status int) {
	if w.rest == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Flush implements http.Flusher, without which connect sends no streams.
func (w *parkedWriter) Flush() {
	if w.rest == nil {
		w.ResponseWriter.(http.Flusher).Flush() //nolint:forcetypeassert // those of net/http are
	}
}

// Unwrap is for http.ResponseController.
func (w *parkedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
