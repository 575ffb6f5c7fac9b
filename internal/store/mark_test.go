package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"go.etcd.io/bbolt"
)

// earlier lists the records of a database as a version does that knows of no journal and no mark.
func earlier(t *testing.T, path, collection string) error {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := Collection[thing]{config: CollectionConfig{Name: collection, Schema: 1}}
	return db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(collection))
		if b == nil {
			return nil
		}
		return b.ForEach(func(id, data []byte) error {
			_, err := c.decode(string(id), data)
			return err
		})
	})
}

// An earlier version must not take the database for all after a crash: it fails at the first
// collection that it reads. After a clean end it reads all.
func TestEarlierVersionRefusesJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	for round := range 3 { // also a store that was opened again, with and without a change
		s := open(t, path)
		first, err := NewCollection[thing](s, CollectionConfig{Name: "events", Schema: 1})
		if err != nil {
			t.Fatal(err)
		}
		if round < 2 {
			if err := errors.Join(first.Put("a", thing{Name: "a"}), things(t, s, CollectionConfig{}).Put("b", thing{})); err != nil {
				t.Fatal(err)
			}
			err := earlier(t, snapshot(t, path), "events")
			if !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "start the patchbay that wrote it") {
				t.Errorf("an earlier version after a crash: %v, want it refused, with what to do", err)
			}
		}
		if all, err := first.List(); err != nil || len(all) != 1 {
			t.Errorf("list: %v, %v, want the one record", all, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := earlier(t, path, "events"); err != nil {
			t.Errorf("an earlier version after a clean end: %v", err)
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(markBucket).Put(formatKey, []byte("2")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(snapshot(t, path)); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("open: %v, want it refused, naming the format", err)
	}
}

// A database whose changes are in a journal is not taken for all without that, by this version neither,
// however often it is tried.
func TestLostJournalIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	if err := errors.Join(things(t, s, CollectionConfig{}).Put("a", thing{Name: "a"}), s.commits.merge(nil)); err != nil {
		t.Fatal(err)
	}
	alone := snapshot(t, path)
	if err := os.Remove(alone + journalSuffix); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(alone); !errors.Is(err, errdefs.ErrDataLoss) || !strings.Contains(err.Error(), alone+journalSuffix) {
			t.Errorf("open without the journal: %v, want data loss, naming it", err)
		}
	}
	if err := os.WriteFile(alone+journalSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	same(t, things(t, open(t, alone), CollectionConfig{}), map[string]thing{"a": {Name: "a"}})
}
