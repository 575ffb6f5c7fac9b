// Package store keeps records in a database of one file, and what was changed last in a journal beside
// it (decision 0079), safe against crashes: a change is
// on disk when the call that made it returns, and either whole or not there.
//
// Records carry the number of their schema. An older one is brought up to date
// when it is read; a newer one is refused, since this program cannot know what
// it would lose.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// lockTimeout is how long Open waits for another process to let go of the
// file; one that is just ending needs a moment.
const lockTimeout = time.Second

// journalSuffix is what the journal's path has more than the database's.
const journalSuffix = ".journal"

// Store is one open database. It is safe for concurrent use.
type Store struct {
	db      *bbolt.DB
	path    string
	commits commits
}

// Open opens or makes the file at path, readable by its owner only. It refuses
// a file that another process has open (errdefs.ErrFailedPrecondition) and one
// that is damaged (errdefs.ErrDataLoss). On a read-only file system the store
// opens for reading, and every change is refused.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if errors.Is(err, syscall.EROFS) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	}
	if err != nil {
		return nil, openError(path, err)
	}
	s := &Store{db: db, path: path, commits: commits{db: db}}
	err = s.commits.openJournal(path + journalSuffix)
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(openError(path, err), s.Close())
	}
	return s, nil
}

// Close lets go of the files. The database has everything then, if there was room for it.
func (s *Store) Close() error { return errors.Join(s.commits.close(), s.db.Close()) }

// update makes a change that is on disk when update returns nil.
func (s *Store) update(what string, records []record) error {
	err := s.commits.commit(records)
	switch {
	case err == nil:
		return nil
	case full(err):
		return fmt.Errorf("%s: refused: no space left for %s; make room and try again: %w", what, s.path, errdefs.ErrResourceExhausted)
	case readOnly(err):
		return fmt.Errorf("%s: refused: %s is on a read-only file system: %w", what, s.path, errdefs.ErrFailedPrecondition)
	}
	return fmt.Errorf("%s: write %s: %w", what, s.path, err)
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func readOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, bberrors.ErrDatabaseReadOnly)
}

// unwritable reports whether err says that nothing can be written, though what is there can be read.
func unwritable(err error) bool { return full(err) || readOnly(err) }

// spare is the room that is much, in bytes: a file grows by 16 MiB at a time, which are
// written to bit by bit.
const spare = 64 << 20

func (s *Store) roomy() bool {
	var disk unix.Statfs_t
	if err := unix.Statfs(s.path, &disk); err != nil || disk.Flags&unix.ST_RDONLY != 0 {
		return false
	}
	return disk.Bavail >= uint64(spare/disk.Bsize)
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, bberrors.ErrTimeout):
		return fmt.Errorf("store %s: is in use by another process; one patchbayd can use a root at a time: %w", path, errdefs.ErrFailedPrecondition)
	case errors.Is(err, bberrors.ErrInvalid), errors.Is(err, bberrors.ErrChecksum), errors.Is(err, bberrors.ErrVersionMismatch):
		return fmt.Errorf("store %s: is damaged or no store (%w); put a copy of it back or move it away: %w", path, err, errdefs.ErrDataLoss)
	case full(err):
		return fmt.Errorf("store %s: no space left: %w", path, errdefs.ErrResourceExhausted)
	}
	return fmt.Errorf("store %s: %w", path, err)
}

// syncDirectory makes the file's own entry safe against a power cut.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EROFS) {
		return err
	}
	return nil
}
