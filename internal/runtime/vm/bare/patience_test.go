package bare

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPatience(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ used, want time.Duration }{
		"works and says nothing": {used: 30 * time.Second, want: 90 * time.Second},
		"does nothing":           {used: 0, want: 90 * time.Second},
		"gets no processor":      {used: 10 * time.Second, want: 180 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, late := time.Now(), errors.New("late")
				ctx, cancel := Patience(t.Context(), 90*time.Second, func() time.Duration { return tt.used }, late)
				defer cancel()
				<-ctx.Done()
				if got := time.Since(begin); got != tt.want {
					t.Errorf("ended after %v, want %v", got, tt.want)
				}
				if cause := context.Cause(ctx); !errors.Is(cause, late) || strings.Contains(cause.Error(), "twice") != (tt.want > 90*time.Second) {
					t.Errorf("because %v", cause)
				}
			})
		})
	}
	ctx, cancel := Patience(t.Context(), time.Hour, nil, nil)
	cancel()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("after it was answered: %v", ctx.Err())
	}
}
