package store

import (
	"errors"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

// concurrent makes changes while another one is being written, so that all of them
// wait, and returns their transactions and errors beside that one's transaction.
func concurrent(t *testing.T, c *commits, changes []func(*bbolt.Tx) error) (first int, ids []int, errs []error) {
	t.Helper()
	began, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := c.commit(func(tx *bbolt.Tx) error {
			first = tx.ID()
			close(began)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-began
	ids, errs = make([]int, len(changes)), make([]error, len(changes))
	for i, do := range changes {
		all.Go(func() {
			errs[i] = c.commit(func(tx *bbolt.Tx) error {
				ids[i] = tx.ID()
				return do(tx)
			})
		})
	}
	for waiting := 0; waiting < len(changes); runtime.Gosched() {
		c.mu.Lock()
		waiting = len(c.waiting)
		c.mu.Unlock()
	}
	close(release)
	all.Wait()
	return first, ids, errs
}

func put(key string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), []byte(key))
	}
}

func has(t *testing.T, s *Store, key string) bool {
	t.Helper()
	found := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		found = b != nil && b.Get([]byte(key)) != nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestChangesShareATransaction(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "db"))
	var changes []func(*bbolt.Tx) error
	for i := range 20 {
		changes = append(changes, put(strconv.Itoa(i)))
	}
	first, ids, errs := concurrent(t, &s.commits, changes)
	for i := range changes {
		if errs[i] != nil || ids[i] != first+1 || !has(t, s, strconv.Itoa(i)) {
			t.Errorf("change %d: transaction %d, %v, want it in %d, the one after %d, and on disk", i, ids[i], errs[i], first+1, first)
		}
	}
}

// One that fails has its own error, does nothing, and keeps nobody else.
func TestChangeThatFails(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "db"))
	failure := errors.New("broken")
	bad := func(tx *bbolt.Tx) error { return errors.Join(put("bad")(tx), failure) }
	_, _, errs := concurrent(t, &s.commits, []func(*bbolt.Tx) error{put("a"), bad, put("c")})
	if errs[0] != nil || !errors.Is(errs[1], failure) || errs[2] != nil {
		t.Errorf("errors %v, want that of the second alone", errs)
	}
	if !has(t, s, "a") || has(t, s, "bad") || !has(t, s, "c") {
		t.Errorf("on disk: a %v, bad %v, c %v", has(t, s, "a"), has(t, s, "bad"), has(t, s, "c"))
	}
}
