package edge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
)

func TestClassify(t *testing.T) {
	answer := errors.New("an answer")
	for name, c := range map[string]struct {
		cause error
		want  string
	}{
		"no socket":          {&os.PathError{Op: "dial", Path: "s", Err: os.ErrNotExist}, "connection failed: dial s: file does not exist"},
		"nobody serves":      {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), "connection failed: dial: connection refused"},
		"gone before":        {syscall.EPIPE, "connection lost before the answer: what was asked for may have been done (broken pipe)"},
		"gone in the middle": {io.ErrUnexpectedEOF, "connection lost before the answer: what was asked for may have been done (unexpected EOF)"},
	} {
		t.Run(name, func(t *testing.T) {
			err := classify(c.cause)
			if !errors.Is(err, errdefs.ErrUnavailable) || !errors.Is(err, c.cause) || err.Error() != c.want {
				t.Errorf("got %q, want %q, unavailable, with its cause", err, c.want)
			}
		})
	}
	for _, err := range []error{nil, io.EOF, answer} {
		if got := classify(err); errors.Is(got, errdefs.ErrUnavailable) || !errors.Is(got, err) {
			t.Errorf("%v: got %v, want it as it is", err, got)
		}
	}
}
