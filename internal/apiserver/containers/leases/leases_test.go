package leases_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/leases"
)

func TestUntilNotHeld(t *testing.T) {
	t.Parallel()
	other := errors.New("down")
	for name, tc := range map[string]struct {
		held  int // how often the plugin refuses
		after error
		want  error
		calls int
	}{
		"at once":        {calls: 1},
		"after a moment": {held: 3, calls: 4},
		"for ever":       {held: 1 << 30, want: errdefs.ErrFailedPrecondition},
		"plugin is down": {held: 1, after: other, want: other, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				calls := 0
				err := leases.UntilNotHeld(ctx, func() error {
					calls++
					if calls <= tc.held {
						return errdefs.ErrFailedPrecondition
					}
					return tc.after
				})
				if !errors.Is(err, tc.want) || (tc.calls > 0 && calls != tc.calls) {
					t.Errorf("%d calls, error %v, want %d, %v", calls, err, tc.calls, tc.want)
				}
			})
		})
	}
}
