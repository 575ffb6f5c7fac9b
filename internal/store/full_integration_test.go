//go:build integration

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// onSmallDisk runs f on a thread with a mount namespace of its own, in which
// dir is a file system of the size. The thread ends with f.
func onSmallDisk(t *testing.T, dir, size string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: nobody else may get the thread
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("unshare (this test needs root): %w", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onSmallDisk(t, dir, "256k", func() error {
		s, err := Open(filepath.Join(dir, "db"))
		if err != nil {
			return err
		}
		defer s.Close()
		c, err := NewCollection[thing](s, CollectionConfig{Name: "things"})
		if err != nil {
			return err
		}
		if c.Roomy() {
			return errors.New("a disk of 256 KiB is called roomy")
		}
		n := 0
		for err == nil && n < 1000 {
			if err = c.Put(fmt.Sprint(n), thing{Name: strings.Repeat("x", 4000)}); err == nil {
				n++
			}
		}
		if !errors.Is(err, errdefs.ErrResourceExhausted) || !strings.Contains(err.Error(), "refused: no space left") {
			return fmt.Errorf("put number %d: %w, want it refused for lack of space", n, err)
		}
		if got, err := c.List(); err != nil || len(got) != n {
			return fmt.Errorf("list when full: %d records, %w; want %d", len(got), err, n)
		}
		if err := c.Delete("0"); err != nil && !errors.Is(err, errdefs.ErrResourceExhausted) {
			return fmt.Errorf("delete when full: %w", err)
		}
		if got, err := c.Get("1"); err != nil || len(got.Name) != 4000 {
			return fmt.Errorf("get when full: %w", err)
		}
		return nil
	})
}

// The journal has its room already: changes are kept until it is full, then refused, and kept again when there is room.
func TestFullDiskWithJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onSmallDisk(t, dir, "4m", func() error {
		path := filepath.Join(dir, "db")
		s, err := Open(path)
		if err != nil {
			return err
		}
		c, err := NewCollection[thing](s, CollectionConfig{Name: "things"})
		if err != nil {
			return err
		}
		filler := filepath.Join(dir, "filler")
		if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("filler: %w, want the disk full", err)
		}
		n := 0
		for err == nil && n < 1000 {
			if err = c.Put(fmt.Sprint(n), thing{Name: strings.Repeat("x", 3000)}); err == nil {
				n++
			}
		}
		if n < 100 || !errors.Is(err, errdefs.ErrResourceExhausted) {
			return fmt.Errorf("put number %d: %w, want it refused for lack of space", n, err)
		}
		if err := s.Close(); err != nil {
			return fmt.Errorf("close when full: %w", err)
		}
		if s, err = Open(path); err != nil {
			return fmt.Errorf("open when full: %w", err)
		}
		defer s.Close()
		if c, err = NewCollection[thing](s, CollectionConfig{Name: "things"}); err != nil {
			return err
		}
		if got, err := c.List(); err != nil || len(got) != n {
			return fmt.Errorf("list when full: %d records, %w; want %d", len(got), err, n)
		}
		if err := errors.Join(os.Remove(filler), c.Put("late", thing{Name: "late"})); err != nil {
			return fmt.Errorf("put when there is room again: %w", err)
		}
		if got, err := c.List(); err != nil || len(got) != n+1 {
			return fmt.Errorf("list: %d records, %w; want %d", len(got), err, n+1)
		}
		return nil
	})
}

func TestRoomy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onSmallDisk(t, dir, "96m", func() error {
		s, err := Open(filepath.Join(dir, "db"))
		if err != nil {
			return err
		}
		defer s.Close()
		if !s.roomy() {
			return errors.New("an empty disk of 96 MiB is not called roomy")
		}
		return nil
	})
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onSmallDisk(t, dir, "1m", func() error {
		path := filepath.Join(dir, "db")
		s, err := Open(path)
		if err != nil {
			return err
		}
		c, err := NewCollection[thing](s, CollectionConfig{Name: "things"})
		if err == nil {
			err = errors.Join(c.Put("a", thing{Name: "a"}), s.Close(), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}
		if err != nil {
			return err
		}
		if s, err = Open(path); err != nil {
			return err
		}
		defer s.Close()
		if c, err = NewCollection[thing](s, CollectionConfig{Name: "things"}); err != nil {
			return err
		}
		if got, err := c.Get("a"); err != nil || got.Name != "a" {
			return fmt.Errorf("get: %+v, %w", got, err)
		}
		if err := c.Put("b", thing{}); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "read-only") {
			return fmt.Errorf("put: %w, want it refused", err)
		}
		return nil
	})
}
