// Package cache keeps what helpers share and what can be made anew: each thing is
// made once, by one helper at a time, and seen by the others when it is whole.
package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// File opens a file of the cache. Where it is not there fill makes it, under
// another name at first.
func File(path string, fill func(fresh string) error) (*os.File, error) {
	f, err := os.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	unlock, err := Lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if f, err := os.Open(path); !errors.Is(err, fs.ErrNotExist) {
		return f, err // somebody has made it meanwhile
	}
	fresh := path + ".new"
	if err := fill(fresh); err != nil {
		return nil, errors.Join(Full(err, path), os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Lock waits for a lock that ends with its holder, however that ends.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// fullBytes is less than what a disk is taken to be full with.
const fullBytes = 1 << 20

// Full says in a line that the disk is full, errdefs.ErrResourceExhausted, where that
// is why a file could not be made: programs say it each in their own way. It is to be
// asked before what was made in part is removed.
func Full(err error, path string) error {
	var free unix.Statfs_t
	if statErr := unix.Statfs(filepath.Dir(path), &free); statErr != nil || int64(free.Bavail)*free.Bsize >= fullBytes {
		return err
	}
	return fmt.Errorf("write %s: %w: %w", path, unix.ENOSPC, errdefs.ErrResourceExhausted)
}
