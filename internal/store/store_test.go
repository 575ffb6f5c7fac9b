package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

const writerVariable = "STORE_TEST_WRITER"

// TestMain makes the test binary a writer that is to be killed as well.
func TestMain(m *testing.M) {
	if path := os.Getenv(writerVariable); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

type thing struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func things(t testing.TB, s *Store, c CollectionConfig) *Collection[thing] {
	t.Helper()
	c.Name = "things"
	out, err := NewCollection[thing](s, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRecords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	c := things(t, s, CollectionConfig{Schema: 1})
	if got, err := c.List(); err != nil || len(got) != 0 {
		t.Errorf("list of nothing: %v, %v", got, err)
	}
	if err := c.Delete("b"); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	for _, id := range []string{"b", "a", "c"} {
		if err := c.Put(id, thing{Name: id}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.Put("a", thing{"a", 2}), c.Delete("c"), s.Close()); err != nil {
		t.Fatal(err)
	}
	c = things(t, open(t, path), CollectionConfig{Schema: 1})
	got, err := c.List()
	if diff := cmp.Diff([]thing{{"a", 2}, {"b", 0}}, got); diff != "" || err != nil {
		t.Errorf("list (-want +got):\n%s%v", diff, err)
	}
	if _, err := c.Get("c"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("get of a deleted record: %v, want not found", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v, want mode 0600", info, err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	open(t, path)
	if _, err := Open(path); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second open: %v, want it refused", err)
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), path) {
		t.Errorf("open: %v, want data loss, naming the file", err)
	}
}

func TestMigration(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "db"))
	old, err := NewCollection[json.RawMessage](s, CollectionConfig{Name: "things"})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Put("a", json.RawMessage(`{"title":"x"}`)); err != nil {
		t.Fatal(err)
	}
	chain := map[int]Migration{
		0: func(v json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(strings.Replace(string(v), "title", "name", 1)), nil
		},
		1: func(v json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(strings.Replace(string(v), "}", `,"size":7}`, 1)), nil
		},
	}
	new := things(t, s, CollectionConfig{Schema: 2, Migrate: chain})
	if got, err := new.Get("a"); err != nil || got != (thing{"x", 7}) {
		t.Errorf("got %+v, %v, want x, 7", got, err)
	}
	if err := new.Put("b", thing{"y", 1}); err != nil {
		t.Fatal(err)
	}
	older := things(t, s, CollectionConfig{Schema: 1, Migrate: chain})
	got, err := older.List()
	if len(got) != 1 || !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "things/b: was written by a newer patchbay (schema 2, want at most 1)") {
		t.Errorf("list with a newer record: %+v, %v, want the older one and b refused", got, err)
	}
	delete(chain, 1)
	if _, err := new.Get("a"); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("schema without migration: %v, want it refused", err)
	}
}

// writeForEver tells each record that was acknowledged, one line each.
func writeForEver(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c, err := NewCollection[thing](s, CollectionConfig{Name: "things"})
	for i := 0; err == nil; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		if err = c.Put(id, thing{Name: id, Size: i}); err == nil {
			fmt.Println(id)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestAcknowledgedRecordsOutliveKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	var acknowledged []string
	for round := range 8 {
		acknowledged = append(acknowledged, killWriter(t, path, 5+7*round)...)
	}
	c := things(t, open(t, path), CollectionConfig{})
	for _, id := range acknowledged {
		if got, err := c.Get(id); err != nil || got.Name != id {
			t.Errorf("record %s: %+v, %v", id, got, err)
		}
	}
}

// killWriter kills a writer when it has told of n records, and returns all that
// it told of.
func killWriter(t *testing.T, path string, n int) []string {
	t.Helper()
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), writerVariable+"="+path)
	writer.Stderr = os.Stderr
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var told []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if told = append(told, lines.Text()); len(told) == n {
			if err := writer.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = writer.Wait() // killed
	if len(told) < n {
		t.Fatalf("writer told of %d records, want %d", len(told), n)
	}
	return told
}
