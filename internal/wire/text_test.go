package wire_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/wire"
)

func TestText(t *testing.T) {
	t.Parallel()
	taken := fmt.Errorf("network web: is there: %w", errdefs.ErrAlreadyExists)
	remote := wire.ErrorFromStatus(wire.ErrorToStatus(fmt.Errorf("open x: %w: %w", unix.EACCES, errdefs.ErrPermissionDenied)))
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"kind":              {taken, "network web: is there"},
		"no kind":           {errors.New("x: not found"), "x: not found"},
		"two kinds":         {fmt.Errorf("a: %w: %w", taken, errdefs.ErrUnavailable), "a: network web: is there"},
		"lines":             {errors.Join(taken, errors.New("other"), taken), "network web: is there\nother\nnetwork web: is there"},
		"lines of one":      {fmt.Errorf("x: %w", errors.Join(taken, taken)), "x: network web: is there\nnetwork web: is there"},
		"system call":       {fmt.Errorf("open x: %w", unix.EACCES), "open x: permission denied"},
		"system call twice": {fmt.Errorf("open x: %w: %w", unix.EACCES, errdefs.ErrPermissionDenied), "open x: permission denied"},
		"invalid argument":  {fmt.Errorf("mount x: %w: %w", unix.EINVAL, errdefs.ErrInvalidArgument), "mount x: invalid argument"},
		"from the wire":     {fmt.Errorf("a: %w", remote), "a: open x: permission denied"},
		"context":           {fmt.Errorf("pull x: %w", context.DeadlineExceeded), "pull x: context deadline exceeded"},
		"silent kind":       {silent{errors.New("web: not found")}, "web: not found"},
		"kind between":      {fmt.Errorf("x: %w: %w", errdefs.ErrInvalidArgument, errors.New("is a file")), "x: is a file"},
		"kind alone":        {errdefs.ErrNotFound, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := wire.Text(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			again := wire.ErrorFromStatus(wire.ErrorToStatus(test.err))
			if got := again.Error(); got != test.want {
				t.Errorf("over the wire: %q, want %q", got, test.want)
			}
			if got := wire.ErrorFromStatus(wire.ErrorToStatus(again)).Error(); got != test.want {
				t.Errorf("over two wires: %q, want %q", got, test.want)
			}
		})
	}
}

// silent is an error with a kind that is not in its text.
type silent struct{ error }

func (s silent) Unwrap() []error { return []error{errdefs.ErrNotFound, s.error} }
