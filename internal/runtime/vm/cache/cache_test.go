package cache

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestFileIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cache", "file")
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			f, err := File(path, func(fresh string) error {
				made.Add(1)
				return os.WriteFile(fresh, []byte("content"), 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if content, err := io.ReadAll(f); err != nil || string(content) != "content" {
				t.Errorf("content %q, %v", content, err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

func TestNothingIsKeptHalfMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	full := errors.New("no space left on device")
	if _, err := File(path, func(fresh string) error {
		return errors.Join(os.WriteFile(fresh, []byte("con"), 0o644), full)
	}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{path, path + ".new"} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
