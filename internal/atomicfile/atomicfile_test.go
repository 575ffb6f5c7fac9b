package atomicfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/atomicfile"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{
		"fast": atomicfile.Write, "durable": atomicfile.WriteDurable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			for _, content := range []string{"a longer content", "short", ""} {
				if err := write(path, []byte(content), 0o640); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != content {
					t.Errorf("got %q, %v, want %q", got, err, content)
				}
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("got mode %v, %v, want 0640", info.Mode(), err)
			}
			wantFiles(t, filepath.Dir(path), "file")
		})
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.Mkdir(path, 0o700); err != nil { // a file cannot replace a directory
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("x"), 0o600); err == nil {
		t.Error("got no error for a path that is a directory")
	}
	wantFiles(t, filepath.Dir(path), "file")
}

func TestReadersSeeWholeFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<10)
	if err := atomicfile.Write(path, a, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 200 {
			if err := atomicfile.Write(path, [][]byte{a, b}[i%2], 0o600); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
			t.Fatalf("got %d bytes, %v, want one of the whole contents", len(got), err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

func wantFiles(t *testing.T, directory string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != len(names) {
		t.Errorf("got %v, %v, want %v", entries, err, names)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	var got map[string]int
	if err := atomicfile.ReadJSON(path, &got); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if err := atomicfile.WriteJSON(path, map[string]int{"a": 1}, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.ReadJSON(path, &got); err != nil || got["a"] != 1 {
		t.Errorf("got %v, %v, want what was written", got, err)
	}
	if err := os.WriteFile(path, []byte(`{"a":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.ReadJSON(path, &got); !errors.Is(err, errdefs.ErrDataLoss) {
		t.Errorf("got %v, want data loss", err)
	}
	if err := errors.Join(atomicfile.Remove(path), atomicfile.Remove(path)); err != nil {
		t.Errorf("got %v, want removing twice to do", err)
	}
	if err := atomicfile.WriteJSON("/proc/none", 1, 0o600); err == nil {
		t.Error("wrote where nothing can be written")
	}
}

func TestMissingDirectory(t *testing.T) {
	t.Parallel()
	if err := atomicfile.WriteJSON(filepath.Join(t.TempDir(), "none", "file"), 1, 0o600); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("got %v, want not found for a directory that is not there", err)
	}
}
