package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

var (
	first  = Generation{1}
	second = Generation{2}
)

func open(t testing.TB, path string, g Generation) (*Journal, []string) {
	t.Helper()
	j, entries, err := Open(path, g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	var texts []string
	for _, e := range entries {
		texts = append(texts, string(e))
	}
	return j, texts
}

func appendAll(t *testing.T, j *Journal, entries ...string) {
	t.Helper()
	for _, e := range entries {
		if err := j.Append([]byte(e)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantEntries(t *testing.T, path string, g Generation, want ...string) *Journal {
	t.Helper()
	j, got := open(t, path, g)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	return j
}

func TestEntries(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	long := strings.Repeat("long", 2000)
	appendAll(t, wantEntries(t, path, first), "a", "", long)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != Size {
		t.Errorf("file: %v, %v, want mode 0600 and all of its size", info, err)
	}
	j := wantEntries(t, path, first, "a", "", long)
	appendAll(t, j, "b")
	wantEntries(t, path, first, "a", "", long, "b")
	wantEntries(t, path, second)
	j.Restart(second)
	appendAll(t, j, "c") // in the place of a, with the others after it
	wantEntries(t, path, second, "c")
}

func TestFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path, first)
	if err := j.Append(make([]byte, MaxEntry+1)); !errors.Is(err, ErrFull) {
		t.Errorf("an entry that is too long: %v, want it refused", err)
	}
	var want []string
	for range Size / (MaxEntry + headerSize) {
		want = append(want, strings.Repeat("x", MaxEntry))
	}
	appendAll(t, j, want...)
	if err := j.Append(nil); !errors.Is(err, ErrFull) {
		t.Errorf("an entry after the last: %v, want it refused", err)
	}
	wantEntries(t, path, first, want...)
	j.Restart(second)
	appendAll(t, j, "a")
	wantEntries(t, path, second, "a")
}

// damage changes a byte of the file.
func damage(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0xff
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whichever byte of it did not reach the disk, the last entry is not there, and the next one takes its place.
func TestTornEntry(t *testing.T) {
	t.Parallel()
	for _, at := range []int{block, block + placeAt, block + lengthAt, block + checksumAt, block + headerSize, 2*block + 5} {
		path := filepath.Join(t.TempDir(), "j")
		j, _ := open(t, path, first)
		appendAll(t, j, "a", strings.Repeat("b", block+20))
		damage(t, path, at)
		appendAll(t, wantEntries(t, path, first, "a"), "c")
		wantEntries(t, path, first, "a", "c")
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	for _, at := range []int{0, placeAt, lengthAt, checksumAt, headerSize} {
		path := filepath.Join(t.TempDir(), "j")
		j, _ := open(t, path, first)
		appendAll(t, j, "a", "b")
		damage(t, path, at)
		if _, _, err := Open(path, first); !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), path) {
			t.Errorf("byte %d damaged: %v, want data loss, naming the file", at, err)
		}
		wantEntries(t, path, second)
	}
}

// A writer that died while it made the file.
func TestShortFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	appendAll(t, wantEntries(t, path, first), "a")
	wantEntries(t, path, first, "a")
}

func TestFailedAppend(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path, first)
	appendAll(t, j, "a")
	fd := j.fd
	j.fd = -1
	err := j.Append([]byte("b"))
	j.fd = fd
	if err == nil || !errors.Is(j.Append([]byte("c")), err) {
		t.Errorf("append after one that failed with %v: want the same", err)
	}
	j.Restart(second)
	appendAll(t, j, "d")
	wantEntries(t, path, second, "d")
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	j, _ := open(f, path, first)
	if err := errors.Join(j.Append([]byte("a")), j.Append([]byte("b"))); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed[:2*block+100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		j := Journal{generation: first}
		entries, err := j.read(data)
		if err != nil && len(entries) > 0 || j.end < int64(len(entries))*block || slices.ContainsFunc(entries, func(e []byte) bool { return len(e) > MaxEntry }) {
			t.Errorf("%d entries until %d, %v", len(entries), j.end, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	j, _ := open(b, filepath.Join(b.TempDir(), "j"), first)
	entry := make([]byte, 1200)
	b.ReportAllocs()
	for b.Loop() {
		err := j.Append(entry)
		if errors.Is(err, ErrFull) {
			j.Restart(first)
			err = j.Append(entry)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
