package registry

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/name"
)

// silent says something first, and then nothing until its context ends.
type silent struct {
	said io.Reader
	ctx  context.Context
}

func (s silent) Read(p []byte) (int, error) {
	if n, err := s.said.Read(p); err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (silent) Close() error { return nil }

// The patience is for who sends; who receives may take longer between two reads.
func TestSilenceIsOfTheRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		b := newBody(silent{strings.NewReader("ab"), ctx}, name.Registry{}, patience, cancel)
		defer b.Close()
		for range 2 {
			time.Sleep(2 * patience) // of the bubble
			if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("after a pause of the reader: %d bytes, %v, want one", n, err)
			}
		}
		began := time.Now()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, errdefs.ErrUnavailable) || time.Since(began) != patience {
			t.Errorf("of a silent registry: %v after %v, want it unavailable after %v", err, time.Since(began), patience)
		}
	})
}
