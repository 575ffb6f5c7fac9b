//go:build integration

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/cache"
)

// TestFull fills a small file system, in a mount namespace of its own.
func TestFull(t *testing.T) {
	t.Parallel()
	done := make(chan error, 1)
	base := t.TempDir()
	go func() { // the thread is thrown away with its namespace
		runtime.LockOSThread()
		done <- fill(base)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func fill(base string) error {
	disk := filepath.Join(base, "disk")
	if err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		os.Mkdir(disk, 0o755), unix.Mount("test", disk, "tmpfs", 0, "size=64k"),
	); err != nil {
		return err
	}
	var faults []error
	for name, produce := range map[string]func() (*os.File, error){
		"scratch": func() (*os.File, error) { return Scratch(context.Background(), filepath.Join(disk, "scratch.ext4")) },
		"root": func() (*os.File, error) {
			return cache.File(filepath.Join(disk, "root.erofs"), func(fresh string) error {
				return os.WriteFile(fresh, make([]byte, 1<<20), 0o644)
			})
		},
	} {
		_, err := produce()
		if err == nil {
			err = errors.New("no error")
		}
		if !errdefs.IsResourceExhausted(err) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "no space left on device") {
			faults = append(faults, fmt.Errorf("%s: want one line that says so: %w", name, err))
		}
	}
	left, err := filepath.Glob(filepath.Join(disk, "*"))
	for _, name := range left {
		if filepath.Ext(name) != ".lock" {
			faults = append(faults, fmt.Errorf("left %s", name))
		}
	}
	return errors.Join(append(faults, err)...)
}
