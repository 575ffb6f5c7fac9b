//go:build integration

package rootfs_test

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

	"patchbay.dev/patchbay/internal/runtime/oci/rootfs"
	"patchbay.dev/patchbay/internal/runtime/oci/spec"
	"patchbay.dev/patchbay/internal/sandbox"
	"patchbay.dev/patchbay/resource"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMount mounts few and many layers, in a mount namespace of its own.
func TestMount(t *testing.T) {
	t.Parallel()
	for _, layers := range []int{0, 1, 120} {
		t.Run(fmt.Sprint(layers), func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(t.TempDir(), "with:colon,and comma")
			r := sandbox.RootFilesystem{UpperDirectory: filepath.Join(base, "upper"), WorkDirectory: filepath.Join(base, "work")}
			for i := range layers { // long names, as digests are
				dir := filepath.Join(base, "layers", strings.Repeat(fmt.Sprintf("%03d", i), 21))
				write(t, filepath.Join(dir, fmt.Sprintf("file%d", i)), "x")
				write(t, filepath.Join(dir, "all"), fmt.Sprint(i))
				r.LowerDirectories = append(r.LowerDirectories, dir)
			}
			for _, dir := range []string{r.UpperDirectory, r.WorkDirectory} {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() { // the thread is thrown away with its namespace
				runtime.LockOSThread()
				done <- check(r, base, layers)
			}()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMountDiscardable: what need not outlive the host is mounted so that nobody
// waits for the disk, also when it was before.
func TestMountDiscardable(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	r := sandbox.RootFilesystem{
		UpperDirectory: filepath.Join(base, "upper"), WorkDirectory: filepath.Join(base, "work"), Discardable: true,
	}
	for _, dir := range []string{r.UpperDirectory, r.WorkDirectory} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { // the thread is thrown away with its namespace
		runtime.LockOSThread()
		done <- checkDiscardable(r, base)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func checkDiscardable(r sandbox.RootFilesystem, base string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	target := filepath.Join(base, "rootfs")
	for _, want := range []string{"", "kept"} {
		if err := rootfs.Mount(r, target, filepath.Join(base, "empty")); err != nil {
			return err
		}
		mounts, err := os.ReadFile("/proc/thread-self/mounts")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, target) && !strings.Contains(line, "volatile") {
				return fmt.Errorf("mounted as %s", line)
			}
		}
		if got, _ := os.ReadFile(filepath.Join(target, "file")); string(got) != want {
			return fmt.Errorf("the file has %q, want %q", got, want)
		}
		if err := os.WriteFile(filepath.Join(target, "file"), []byte("kept"), 0o600); err != nil {
			return err
		}
		if err := rootfs.Unmount(target); err != nil {
			return err
		}
	}
	return nil
}

func check(r sandbox.RootFilesystem, base string, layers int) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	target := filepath.Join(base, "rootfs")
	if err := rootfs.Mount(r, target, filepath.Join(base, "empty")); err != nil {
		return err
	}
	for i := range layers {
		if _, err := os.Stat(filepath.Join(target, fmt.Sprintf("file%d", i))); err != nil {
			return err
		}
	}
	if layers > 0 {
		if top, err := os.ReadFile(filepath.Join(target, "all")); err != nil || string(top) != "0" {
			return fmt.Errorf("uppermost layer has %q, %w", top, err)
		}
	}
	if err := os.WriteFile(filepath.Join(target, "new"), nil, 0o644); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(r.UpperDirectory, "new")); err != nil {
		return err
	}
	return errors.Join(rootfs.Unmount(target), rootfs.Unmount(target))
}

// TestConfined: nothing of the image leads out of its root.
func TestConfined(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	outside, root := filepath.Join(base, "outside"), filepath.Join(base, "root")
	write(t, filepath.Join(outside, "passwd"), "evil:x:666:666::/evil:/bin/sh\n")
	write(t, filepath.Join(outside, "tool"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(outside, "tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "real/tool"), "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(root, "real/tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "real/inside"), "x")
	for link, target := range map[string]string{
		"etc": outside, "up": "../../../../../../" + outside, "bin": "/real", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := rootfs.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if u, err := r.User("evil", nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("a user of outside: %+v, %v", u, err)
	}
	for _, path := range []string{"/etc/tool", "/up/tool", "/../outside/tool", "/loop/tool"} {
		if err := r.Executable("tool", []string{path}); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: %v, want not found", path, err)
		}
	}
	if err := r.Executable("tool", []string{"/nothere/tool", "/bin/tool"}); err != nil {
		t.Errorf("through an absolute link inside: %v", err)
	}
	// A directory below an absolute link is made inside.
	if err := r.MakeDirectory("/bin/new/deep", spec.User{UID: 7, GID: 8}); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(root, "real/new/deep"))
	if err != nil || !info.IsDir() {
		t.Errorf("made directory: %v", err)
	}
	for _, path := range []string{"/etc/x", "/up/x", "/real/inside"} {
		if err := r.MakeDirectory(path, spec.User{}); err == nil {
			t.Errorf("directory %s was made", path)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 2 {
		t.Errorf("outside has %v now", entries)
	}
	volume := t.TempDir()
	if err := r.Fill(resource.Mount{Type: resource.MountVolume, Source: volume, Target: "/bin"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(volume, "inside")); err != nil {
		t.Errorf("volume: %v", err)
	}
	left := t.TempDir()
	if err := r.Fill(resource.Mount{Type: resource.MountVolume, Source: left, Target: "/bin", Options: []string{"nocopy"}}); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(left); len(entries) != 0 {
		t.Errorf("a volume that is to be left empty has %v", entries)
	}
	if empty := t.TempDir(); r.Fill(resource.Mount{Source: empty, Target: "/etc"}) != nil {
		t.Error("a link to outside is no content of the image")
	} else if entries, _ := os.ReadDir(empty); len(entries) != 0 {
		t.Errorf("volume got %v of outside", entries)
	}
}
