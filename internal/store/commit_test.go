package store

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/internal/store/journal"
)

// concurrent makes changes while another one is being written, so that all of them
// wait for that, and returns their errors.
func concurrent(c *commits, changes [][]record) []error {
	c.writing.Lock()
	var all sync.WaitGroup
	errs := make([]error, len(changes))
	for i, records := range changes {
		all.Go(func() { errs[i] = c.commit(records) })
	}
	for waiting := 0; waiting < len(changes); runtime.Gosched() {
		c.mu.Lock()
		waiting = len(c.waiting)
		c.mu.Unlock()
	}
	c.writing.Unlock()
	all.Wait()
	return errs
}

func put(id string) []record {
	return []record{{Collection: "things", ID: id, Value: []byte(`{"value":{"name":"` + id + `"}}`)}}
}

// crashed opens what a crash at this moment would leave of a store.
func crashed(t *testing.T, path string) *Store {
	t.Helper()
	return open(t, snapshot(t, path))
}

// snapshot copies the files of a store, and returns the path of the copy.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "db")
	for _, suffix := range []string{"", journalSuffix} {
		data, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func has(t *testing.T, s *Store, id string) bool {
	t.Helper()
	_, err := things(t, s, CollectionConfig{}).Get(id)
	return err == nil
}

func TestChangesShareAWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	var changes [][]record
	for i := range 20 {
		changes = append(changes, put(strconv.Itoa(i)))
	}
	errs := concurrent(&s.commits, changes)
	after := crashed(t, path)
	for i := range changes {
		if id := strconv.Itoa(i); errs[i] != nil || !has(t, s, id) || !has(t, after, id) {
			t.Errorf("change %d: %v, want it in the store and on disk", i, errs[i])
		}
	}
	m, err := readMark(s.db)
	if err != nil {
		t.Fatal(err)
	}
	j, entries, err := journal.Open(snapshot(t, path)+journalSuffix, m.generation)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries in the journal, %v, want one for all", len(entries), err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// One that fails has its own error, does nothing, and keeps nobody else.
func TestChangeThatFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	if err := s.commits.close(); err != nil { // all goes to the database
		t.Fatal(err)
	}
	bad := append(put("bad"), record{Collection: "", ID: "bad"})
	errs := concurrent(&s.commits, [][]record{put("a"), bad, put("c")})
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("errors %v, want that of the second alone", errs)
	}
	if after := crashed(t, path); !has(t, after, "a") || has(t, after, "bad") || !has(t, after, "c") {
		t.Errorf("on disk: a %v, bad %v, c %v", has(t, after, "a"), has(t, after, "bad"), has(t, after, "c"))
	}
}

// However many changes there are, and whatever becomes of the journal meanwhile, a crash leaves what was acknowledged.
func TestCrashAfterEachChange(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	c := things(t, open(t, path), CollectionConfig{})
	want := map[string]thing{}
	chosen := rand.New(rand.NewPCG(1, 2))
	for i := range 2 * journal.Size / 4096 {
		id, value := strconv.Itoa(chosen.IntN(20)), thing{Name: strings.Repeat("x", chosen.IntN(6000)), Size: i}
		var err error
		switch {
		case chosen.IntN(4) == 0:
			delete(want, id)
			err = c.Delete(id)
		default:
			want[id] = value
			err = c.Put(id, value)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			same(t, c, want)
			same(t, things(t, crashed(t, path), CollectionConfig{}), want)
		}
	}
}

func same(t *testing.T, c *Collection[thing], want map[string]thing) {
	t.Helper()
	var sorted []thing
	for _, id := range slices.Sorted(maps.Keys(want)) {
		sorted = append(sorted, want[id])
		if got, err := c.Get(id); err != nil || got != want[id] {
			t.Fatalf("get %s: %v, %v, want %v", id, got, err, want[id])
		}
	}
	got, err := c.List()
	if diff := cmp.Diff(sorted, got); diff != "" || err != nil {
		t.Fatalf("list (-want +got):\n%s%v", diff, err)
	}
}

// The database has got all, and the journal looks as if it had it still.
func TestMergedJournalIsEmpty(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	c := things(t, s, CollectionConfig{})
	if err := errors.Join(c.Put("a", thing{Name: "old"}), c.Put("b", thing{Name: "old"}), s.commits.merge(put("a"))); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete("b"); err != nil {
		t.Fatal(err)
	}
	same(t, things(t, crashed(t, path), CollectionConfig{}), map[string]thing{"a": {Name: "a"}})
}

// A store that was closed is its database alone: that may be copied, or read by a version that knows of no journal.
func TestClosedStoreNeedsNoJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	if err := errors.Join(things(t, s, CollectionConfig{}).Put("a", thing{Name: "a"}), s.Close(), os.Remove(path+journalSuffix)); err != nil {
		t.Fatal(err)
	}
	same(t, things(t, open(t, path), CollectionConfig{}), map[string]thing{"a": {Name: "a"}})
}

func TestDamagedJournalIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	c := things(t, open(t, path), CollectionConfig{})
	if err := errors.Join(c.Put("a", thing{}), c.Put("b", thing{})); err != nil {
		t.Fatal(err)
	}
	damaged := snapshot(t, path)
	f, err := os.OpenFile(damaged+journalSuffix, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 100)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(damaged); !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), damaged+journalSuffix) {
		t.Errorf("open: %v, want data loss, naming the journal", err)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	c := things(t, open(t, filepath.Join(t.TempDir(), "db")), CollectionConfig{})
	for _, id := range []string{"", strings.Repeat("x", 40000)} {
		if err := c.Put(id, thing{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("put with an id of %d bytes: %v, want it refused", len(id), err)
		}
	}
}
