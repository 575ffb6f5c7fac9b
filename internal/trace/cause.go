package trace

import (
	"context"
	"sync/atomic"
)

// Cause is which call was the last that something is due to, which happens later: a
// container ends because of whoever has stopped it, else because of whoever started
// it. The zero Cause is none. It is safe for concurrent use.
type Cause struct{ span atomic.Pointer[Span] }

// Note makes a call the cause, if it is traced.
func (c *Cause) Note(ctx context.Context) {
	if span := Current(ctx); span != nil {
		c.span.Store(span)
	}
}

// Context returns a context inside the span of the cause.
func (c *Cause) Context() context.Context { return With(context.Background(), c.span.Load()) }
