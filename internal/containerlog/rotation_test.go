package containerlog_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"patchbay.dev/patchbay/internal/containerlog"
	"patchbay.dev/patchbay/resource"
)

// collect returns what a log has, as one text.
func collect(t interface{ Fatal(...any) }, path string, tail int64) string {
	var out strings.Builder
	err := containerlog.Read(context.Background(), path, containerlog.ReadOptions{Tail: tail}, func(e containerlog.Entry) error {
		out.Write(e.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// files returns the names and sizes of a log's files.
func files(t interface{ Fatal(...any) }, path string) map[string]int64 {
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sizes[e.Name()] = info.Size()
	}
	return sizes
}

// TestBounded: a log has its last lines, of which no more files are kept than it may
// have, each no longer than it may be; a tail has the last of them, wherever it begins.
func TestBounded(t *testing.T) {
	t.Parallel()
	const size = 1000
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		place, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(place, "log")
		most := rapid.IntRange(1, 4).Draw(t, "files")
		var lines []string
		for range rapid.IntRange(1, 3).Draw(t, "writers") { // one after the other
			w, err := containerlog.Create(path, resource.LogLimits{MaxBytes: size, MaxFiles: most})
			if err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(0, 40).Draw(t, "lines") {
				line := fmt.Sprintf("%d %s\n", len(lines), strings.Repeat("x", rapid.IntRange(0, 200).Draw(t, "length")))
				lines = append(lines, line)
				if _, err := w.Stream(false).Write([]byte(line)); err != nil {
					t.Fatal(err)
				}
			}
			w.Close()
		}
		kept := files(t, path)
		if len(kept) > most {
			t.Fatalf("files %v, want at most %d", kept, most)
		}
		for name, n := range kept {
			if n > size {
				t.Fatalf("file %s has %d bytes, want at most %d", name, n, size)
			}
		}
		all := strings.Join(lines, "")
		got := collect(t, path, -1)
		if !strings.HasSuffix(all, got) || len(kept) < most && got != all || len(lines) > 0 && got == "" {
			t.Fatalf("of %q\nthere is %q", all, got)
		}
		n := rapid.IntRange(0, 20).Draw(t, "tail")
		present := strings.SplitAfter(strings.TrimSuffix(got, "\n"), "\n")
		if got == "" {
			present = nil
		}
		want := strings.Join(present[max(0, len(present)-n):], "")
		if n > 0 && want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if tail := collect(t, path, int64(n)); tail != want {
			t.Fatalf("tail %d: got %q, want %q", n, tail, want)
		}
	})
}

// TestFollowRotation: who follows gets all that is written, also what is set aside
// before it has been read, and what is removed while it is read.
func TestFollowRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w, err := containerlog.Create(path, resource.LogLimits{MaxBytes: 2000, MaxFiles: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ended, seen, result := make(chan struct{}), make(chan string), make(chan error, 1)
	go func() {
		result <- containerlog.Read(context.Background(), path, containerlog.ReadOptions{Tail: -1, Follow: ended}, func(e containerlog.Entry) error {
			seen <- string(e.Data)
			return nil
		})
	}()
	const lines, ahead = 500, 15 // of which two files hold more
	line := func(i int) string { return fmt.Sprintf("line %d\n", i) }
	for i := range lines + ahead {
		if i < lines {
			if _, err := w.Stream(false).Write([]byte(line(i))); err != nil {
				t.Fatal(err)
			}
		}
		if i >= ahead {
			if got := <-seen; got != line(i-ahead) {
				t.Fatalf("got %q, want %q", got, line(i-ahead))
			}
		}
	}
	close(ended)
	if err := <-result; err != nil {
		t.Error(err)
	}
	if kept := files(t, path); len(kept) != 2 {
		t.Errorf("files %v, want two: they have been set aside many times", kept)
	}
}

// TestDeathInRotation: wherever a writer dies while it sets files aside, what is left is
// read in its order, and the next writer goes on.
func TestDeathInRotation(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]string{ // by their names, from the oldest to the youngest
		"the oldest is gone":          {"log.1", "log"},
		"one has been renamed":        {"log.2", "log"},
		"all have been renamed":       {"log.2", "log.1"},
		"only one that was set aside": {"log.1"},
		"limits were larger":          {"log.7", "log.4", "log.2", "log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log")
			var want string
			for i, file := range left {
				fmt.Fprintf(create(t, filepath.Join(filepath.Dir(path), file)).Stream(false), "%d\n", i)
				want += fmt.Sprintf("%d\n", i)
			}
			if got := collect(t, path, -1); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got, last := collect(t, path, 2), fmt.Sprintf("%d\n", len(left)-1); !strings.HasSuffix(want, got) || !strings.HasSuffix(got, last) {
				t.Errorf("the last two lines: %q, of %q", got, want)
			}
			w, err := containerlog.Create(path, resource.LogLimits{MaxBytes: 100, MaxFiles: 3})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for range 4 {
				fmt.Fprintln(w.Stream(false), "next")
			}
			if diff := cmp.Diff([]string{"log", "log.1", "log.2"}, slices.Sorted(maps.Keys(files(t, path)))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if got := collect(t, path, -1); got != strings.Repeat("next\n", 3) {
				t.Errorf("after that: %q", got)
			}
		})
	}
}
