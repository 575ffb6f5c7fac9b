package bare

import (
	"context"
	"fmt"
	"time"
)

// share is the part of its time that a machine which is waited for has to have had of a
// processor: with less of it the host was too busy to tell whether the guest stands still.
const share = 3

// Patience ends after a limit, with late as the cause: a machine should have answered
// by then. One that works, but has had less than a third of that time of a processor, has
// as long again. used is how much it has had.
func Patience(ctx context.Context, limit time.Duration, used func() time.Duration, late error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	last := time.AfterFunc(2*limit, func() { cancel(fmt.Errorf("given twice its time, as the host is busy: %w", late)) })
	first := time.AfterFunc(limit, func() {
		if had := used(); had == 0 || had >= limit/share {
			cancel(late)
		}
	})
	return ctx, func() {
		first.Stop()
		last.Stop()
		cancel(nil)
	}
}
