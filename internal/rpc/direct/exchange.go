package direct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
)

// call is what an exchange is made of.
type call struct {
	transport
	ctx  context.Context //nolint:containedctx // of the call, which a stream is
	spec connect.Spec
}

// chunks as the length of a request: it comes in parts.
const chunks = -1

// head returns the first part of a request of length bytes.
func (c *call) head(contentType string, length int) ([]byte, error) {
	b := make([]byte, 0, 256+max(length, 0))
	b = append(b, "POST "+c.spec.Procedure+" HTTP/1.1\r\nHost: patchbay\r\nContent-Type: "+contentType+"\r\nConnect-Protocol-Version: 1\r\n"...)
	if deadline, ok := c.ctx.Deadline(); ok {
		b = append(b, "Connect-Timeout-Ms: "...)
		b = strconv.AppendInt(b, max(time.Until(deadline).Milliseconds(), 1), 10)
		b = append(b, "\r\n"...)
	}
	if info, ok := connect.CallInfoForClientContext(c.ctx); ok {
		for key, values := range info.RequestHeader().All() {
			for _, value := range values {
				if strings.ContainsAny(key+value, "\r\n\x00") {
					return nil, connect.Errorf(connect.CodeInternal, "header %q: %q cannot be sent", key, value)
				}
				b = append(b, key+": "+value+"\r\n"...)
			}
		}
	}
	if length == chunks {
		return append(b, "Transfer-Encoding: chunked\r\n\r\n"...), nil
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, "\r\n\r\n"...), nil
}

// exchange is a request and its answer. The end of the call's context cuts it.
type exchange struct {
	*call
	conn  *conn
	spare func() bool // no longer has the context cut it; false: it was cut
}

// exchange begins one by sending. A connection that the server has closed meanwhile
// takes nothing, and another one is made.
func (c *call) exchange(request []byte) (*exchange, error) {
	for {
		if err := c.ctx.Err(); err != nil {
			return nil, c.failure(err)
		}
		over, fresh := c.pool.take(), false
		if over == nil {
			var err error
			if over, err = c.pool.dial(c.ctx); err != nil {
				return nil, c.failure(err)
			}
			fresh = true
		}
		x := &exchange{call: c, conn: over, spare: context.AfterFunc(c.ctx, func() { over.Close() })}
		stream := c.spec.StreamType != connect.StreamTypeUnary
		if stream {
			c.pool.begun()
		}
		_, err := over.Write(request)
		if err == nil {
			if !stream {
				c.pool.begun()
			}
			return x, nil
		}
		x.abandon()
		if fresh {
			return nil, c.failure(err)
		}
	}
}

// finish ends an exchange whose answer was read as a whole.
func (x *exchange) finish(lasting bool) {
	if x.spare() && lasting {
		x.pool.put(x.conn)
		return
	}
	x.conn.Close()
}

// abandon ends an exchange before its end, which the server is told by that of its
// connection.
func (x *exchange) abandon() {
	x.spare()
	x.conn.Close()
}

// failure is why the call did not get an answer.
func (c *call) failure(err error) error {
	var status *connect.Error
	cause := c.ctx.Err()
	switch {
	case errors.As(err, &status):
		return err
	case errors.Is(cause, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, cause.Error()).WithCause(cause)
	case cause != nil:
		return connect.NewError(connect.CodeCanceled, cause.Error()).WithCause(cause)
	case errors.Is(err, errMalformed):
		return connect.NewError(connect.CodeUnavailable, err.Error()).WithCause(err)
	}
	return unexpected(err)
}

// refusal returns the error that an answer with this body is, nil if its status is 200 and
// its content of the type.
func (c *call) refusal(a answer, contentType string, body []byte) error {
	switch {
	case a.status == 415:
		return connect.NewError(connect.CodeUnknown, ErrForm.Error()).WithCause(ErrForm).WithRemote()
	case a.status == 200 && a.contentType == contentType:
		return nil
	case a.status == 200:
		return fmt.Errorf("%w: content type %q, want %q", errMalformed, a.contentType, contentType)
	case a.contentType == "application/json":
		if said, ok := parseError(body); ok {
			return said
		}
	}
	if a.status == 404 {
		return connect.Errorf(connect.CodeUnimplemented, "call %s: the process that answers does not know it, as it is of another version than this one: restart it",
			strings.TrimPrefix(c.spec.Procedure, "/")).WithRemote()
	}
	return connect.Errorf(codeOf(a.status), "HTTP status %d: %s", a.status, bytes.TrimSpace(body)).WithRemote()
}

// codeOf is the code of an HTTP status that no error came with
// (https://connectrpc.com/docs/protocol#http-to-error-code).
func codeOf(status int) connect.Code {
	switch status {
	case 400:
		return connect.CodeInternal
	case 401:
		return connect.CodeUnauthenticated
	case 403:
		return connect.CodePermissionDenied
	case 429, 502, 503, 504:
		return connect.CodeUnavailable
	}
	return connect.CodeUnknown
}
