package containerlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"patchbay.dev/patchbay/internal/containerlog"
	"patchbay.dev/patchbay/resource"
)

func create(t *testing.T, path string) *containerlog.Writer {
	t.Helper()
	w, err := containerlog.Create(path, resource.LogLimits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func read(t *testing.T, path string, o containerlog.ReadOptions) []string {
	t.Helper()
	var out []string
	err := containerlog.Read(t.Context(), path, o, func(e containerlog.Entry) error {
		prefix := "o:"
		if e.Stderr {
			prefix = "e:"
		}
		out = append(out, prefix+string(e.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReadWhatWasWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w := create(t, path)
	fmt.Fprint(w.Stream(false), "one\ntwo\nthr")
	fmt.Fprint(w.Stream(true), "bad\n")
	fmt.Fprint(w.Stream(false), "ee\n\xff\xfe\n\n")
	fmt.Fprint(w.Stream(false), "end")
	want := []string{"o:one\n", "o:two\n", "o:thr", "e:bad\n", "o:ee\n", "o:\xff\xfe\n", "o:\n", "o:end"}
	for name, tc := range map[string]struct {
		tail int64
		want []string
	}{
		"all":             {-1, want},
		"none":            {0, nil},
		"unfinished line": {1, want[7:]},
		"two":             {2, want[6:]},
		"with its parts":  {4, want[4:]},
		"more than all":   {100, want},
	} {
		if diff := cmp.Diff(tc.want, read(t, path, containerlog.ReadOptions{Tail: tc.tail})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := read(t, path, containerlog.ReadOptions{Tail: -1, Since: time.Now().Add(time.Hour)}); got != nil {
		t.Errorf("since the future = %v, want nothing", got)
	}
}

func TestLongLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	long := strings.Repeat("x", 100_000) + "\n"
	fmt.Fprint(create(t, path).Stream(false), long)
	got := read(t, path, containerlog.ReadOptions{Tail: -1})
	if joined := strings.ReplaceAll(strings.Join(got, ""), "o:", ""); joined != long || len(got) < 2 {
		t.Errorf("%d entries of %d bytes, want several of %d", len(got), len(joined), len(long))
	}
}

func TestNoLog(t *testing.T) {
	t.Parallel()
	if got := read(t, filepath.Join(t.TempDir(), "log"), containerlog.ReadOptions{Tail: -1}); got != nil {
		t.Errorf("entries = %v, want none", got)
	}
}

// TestCrashedWriter: a line that was cut costs itself alone.
func TestCrashedWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	fmt.Fprint(create(t, path).Stream(false), "one\ntwo\n")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(create(t, path).Stream(false), "three\n")
	for _, tail := range []int64{-1, 2} {
		if diff := cmp.Diff([]string{"o:one\n", "o:three\n"}, read(t, path, containerlog.ReadOptions{Tail: tail})); diff != "" {
			t.Errorf("tail %d (-want +got):\n%s", tail, diff)
		}
	}
}

// TestFollow: a reader that starts before the file is there gets all that two
// rapid writers write, and returns at the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	const lines = 5000
	ended := make(chan struct{})
	counts := make(chan map[bool]int, 1)
	go func() {
		n := map[bool]int{}
		err := containerlog.Read(context.Background(), path, containerlog.ReadOptions{Tail: -1, Follow: ended}, func(e containerlog.Entry) error {
			want := fmt.Sprintf("line %d\n", n[e.Stderr])
			if string(e.Data) != want {
				t.Errorf("entry %q, want %q", e.Data, want)
			}
			n[e.Stderr]++
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		counts <- n
	}()
	w := create(t, path)
	var writers sync.WaitGroup
	for _, stderr := range []bool{false, true} {
		writers.Go(func() {
			for i := range lines {
				fmt.Fprintf(w.Stream(stderr), "line %d\n", i)
			}
		})
	}
	writers.Wait()
	close(ended)
	if diff := cmp.Diff(map[bool]int{false: lines, true: lines}, <-counts); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestFollowSeesEachEntryAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w := create(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, done := make(chan string), make(chan error, 1)
	go func() {
		done <- containerlog.Read(ctx, path, containerlog.ReadOptions{Tail: -1, Follow: make(chan struct{})}, func(e containerlog.Entry) error {
			got <- string(e.Data)
			return nil
		})
	}()
	for i := range 100 { // each is written only when the one before has been seen
		want := fmt.Sprintf("%d\n", i)
		fmt.Fprint(w.Stream(false), want)
		if entry := <-got; entry != want {
			t.Fatalf("entry %q, want %q", entry, want)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v, want canceled", err)
	}
}

// TestAnyBytes: whatever is written in whatever pieces is read back.
func TestAnyBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "log")
		_ = os.Remove(path)
		w, err := containerlog.Create(path, resource.LogLimits{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var want, got bytes.Buffer
		for _, piece := range rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "pieces") {
			want.Write(piece)
			if _, err := w.Stream(false).Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		tail := rapid.Int64Range(-1, 5).Draw(t, "tail")
		err = containerlog.Read(context.Background(), path, containerlog.ReadOptions{Tail: tail}, func(e containerlog.Entry) error {
			got.Write(e.Data)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		expected := want.Bytes()
		if tail >= 0 {
			lines := bytes.SplitAfter(expected, []byte("\n"))
			if len(lines[len(lines)-1]) == 0 {
				lines = lines[:len(lines)-1]
			}
			expected = bytes.Join(lines[max(0, len(lines)-int(tail)):], nil)
		}
		if !bytes.Equal(expected, got.Bytes()) {
			t.Fatalf("tail %d: got %q, want %q", tail, got.Bytes(), expected)
		}
	})
}
