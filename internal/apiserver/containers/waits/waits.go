// Package waits ends the calls that wait for containers when patchbayd ends, so that
// they do not hold it up.
package waits

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/fault"
)

// ErrGoingDown is what waiting calls fail with.
var ErrGoingDown = fault.New(errdefs.ErrUnavailable, "patchbayd is going down, its containers go on")

// Waits is all calls that wait.
type Waits struct {
	life context.Context
	end  context.CancelFunc
}

// New returns waits that end with ctx at the latest.
func New(ctx context.Context) Waits {
	life, end := context.WithCancel(ctx)
	return Waits{life, end}
}

// End ends all waits, those that are to come too.
func (w Waits) End() { w.end() }

// Ended is closed when they have.
func (w Waits) Ended() <-chan struct{} { return w.life.Done() }

// Bound returns a context that ends with ctx and with the waits. Its calls' errors
// are to go through Explain.
func (w Waits) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// Explain is ErrGoingDown if that is why a waiting call failed.
func (w Waits) Explain(err error) error {
	if errors.Is(err, context.Canceled) && w.life.Err() != nil {
		return ErrGoingDown
	}
	return err
}
