//go:build integration

package share

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// TestLay lays a tree in a mount namespace of its own.
func TestLay(t *testing.T) {
	t.Parallel()
	done := make(chan error, 1)
	base := t.TempDir()
	go func() { // the thread is thrown away with its namespace
		runtime.LockOSThread()
		done <- layAndLook(base)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func layAndLook(base string) error {
	at := func(elements ...string) string { return filepath.Join(append([]string{base}, elements...)...) }
	if err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		os.MkdirAll(at("source", "below"), 0o755), os.WriteFile(at("file"), []byte("x"), 0o644),
		unix.Mount("test", at("source", "below"), "tmpfs", 0, ""), os.WriteFile(at("source", "below", "there"), nil, 0o644),
		os.Symlink("below", at("source", "link")),
	); err != nil {
		return err
	}
	tree := at("tree")
	if err := Lay(tree, []resource.Mount{
		{Type: resource.MountBind, Source: at("source")},
		{Type: resource.MountTmpfs},
		{Type: resource.MountBind, Source: at("source"), ReadOnly: true},
		{Type: resource.MountBind, Source: at("file"), Options: []string{"ro"}},
		{Type: resource.MountVolume, Source: at("source"), Options: []string{"bind"}},
	}); err != nil {
		return err
	}
	write := func(elements ...string) error {
		return os.WriteFile(at(append([]string{"tree"}, elements...)...), nil, 0o644)
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, name := range []string{"0/new", "0/below/new", "4/new2"} {
		if err := write(name); err != nil {
			fault("writable: %w", err)
		}
	}
	for _, name := range []string{"new", "2/x", "2/below/x", "3"} {
		if err := write(name); !errors.Is(err, unix.EROFS) {
			fault("%s: got %v, want %v", name, err, unix.EROFS)
		}
	}
	if _, err := os.Stat(filepath.Join(tree, "0/link/there")); !errors.Is(err, unix.ELOOP) {
		fault("a link is followed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(tree, "4/below/there")); !errors.Is(err, os.ErrNotExist) {
		fault("a mount below one that is bound alone: %v", err)
	}
	if err := unix.Mknod(filepath.Join(tree, "0/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		fault("make a device: %w", err)
	}
	if _, err := os.Open(filepath.Join(tree, "0/null")); !errors.Is(err, unix.EACCES) {
		fault("a device is opened: %v", err)
	}
	for range 2 { // nothing there is no error
		if err := Remove(tree); err != nil {
			fault("remove: %w", err)
		}
	}
	if _, err := os.Stat(tree); !errors.Is(err, os.ErrNotExist) {
		fault("the tree is left: %v", err)
	}
	return errors.Join(faults...)
}
