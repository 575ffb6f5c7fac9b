//go:build integration

package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root: owners, devices and mounts")
	}
}

// insideVariable tells a test that it runs in a mount namespace of its own.
const insideVariable = "PATCHBAY_TEST_MOUNT_NAMESPACE"

// inMountNamespace runs the calling test once more in a mount namespace of its
// own, and returns true there.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	needRoot(t)
	if os.Getenv(insideVariable) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	command.Env = append(os.Environ(), insideVariable+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	output, err := command.CombinedOutput()
	if err != nil || !bytes.Contains(output, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, output)
	}
	return false
}

// rawLayer is a plain layer of any entries; the content of a file is in Linkname.
func rawLayer(t *testing.T, headers ...tar.Header) v1.Layer {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	diffID, _, err := v1.SHA256(bytes.NewReader(buffer.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return withDiffID{static.NewLayer(buffer.Bytes(), types.OCIUncompressedLayer), diffID}
}

// mountOverlay mounts an image's layers as the runtime does.
func mountOverlay(t *testing.T, s *Service, digest string) string {
	t.Helper()
	lower, err := s.Layers(digest)
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	upper, work, merged := filepath.Join(base, "upper"), filepath.Join(base, "work"), filepath.Join(base, "merged")
	for _, dir := range []string{upper, work, merged} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), upper, work)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Unmount(merged, unix.MNT_DETACH)
		unix.Unmount(base, unix.MNT_DETACH)
	})
	return merged
}

// What containers see of layers with every kind of entry.
func TestOverlayOfLayers(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	h := newHub(t)
	s := newService(t)
	ref := h.push(t, "box:1", image(t, "",
		rawLayer(t,
			tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
			tar.Header{Name: "kept", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 12, Gid: 34, Linkname: "kept"},
			tar.Header{Name: "hidden", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "x"},
			tar.Header{Name: "replaced", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "old"},
			tar.Header{Name: "opaque/", Typeflag: tar.TypeDir, Mode: 0o755},
			tar.Header{Name: "opaque/old", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "x"},
			tar.Header{Name: "dev/", Typeflag: tar.TypeDir, Mode: 0o755},
			tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3},
			tar.Header{Name: "dev/loop", Typeflag: tar.TypeBlock, Mode: 0o660, Devmajor: 7, Devminor: 0},
			tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o600},
			tar.Header{Name: "link", Typeflag: tar.TypeLink, Mode: 0o4755, Uid: 12, Gid: 34, Linkname: "kept"},
			tar.Header{Name: "symlink", Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "/kept"},
			tar.Header{
				Name: "ping", Typeflag: tar.TypeReg, Mode: 0o755, Linkname: "x",
				PAXRecords: map[string]string{"SCHILY.xattr.user.test": "value"},
			},
			tar.Header{Name: ".wh.nothing", Typeflag: tar.TypeReg},
		),
		rawLayer(t,
			tar.Header{Name: ".wh.hidden", Typeflag: tar.TypeReg},
			tar.Header{Name: "opaque/.wh..wh..opq", Typeflag: tar.TypeReg},
			tar.Header{Name: "opaque/new", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "new"},
			tar.Header{Name: "replaced", Typeflag: tar.TypeReg, Mode: 0o644, Linkname: "new"},
			tar.Header{Name: ".wh.replaced", Typeflag: tar.TypeReg},
		),
	))
	got, err := s.Pull(t.Context(), ref, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	root := mountOverlay(t, s, got.ID)
	var list []string
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		info, _ := e.Info()
		line := fmt.Sprintf("%s %v %d:%d", rel, info.Mode(), stat.Uid, stat.Gid)
		if info.Mode()&os.ModeDevice != 0 {
			line += fmt.Sprintf(" %d,%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev))
		}
		if info.Mode().IsRegular() {
			content, _ := os.ReadFile(path)
			line += " " + string(content)
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		". drwxr-xr-x 0:0",
		"dev drwxr-xr-x 0:0",
		"dev/loop Drw-rw---- 0:0 7,0",
		"dev/null Dcrw-rw-rw- 0:0 1,3",
		"kept urwxr-xr-x 12:34 kept",
		"link urwxr-xr-x 12:34 kept",
		"opaque drwxr-xr-x 0:0",
		"opaque/new -rw-r--r-- 0:0 new",
		"ping -rwxr-xr-x 0:0 x",
		"pipe prw------- 0:0",
		"replaced -rw-r--r-- 0:0 new",
		"symlink Lrwxrwxrwx 0:0",
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("what a container sees (-want +got):\n%s", diff)
	}
	value := make([]byte, 16)
	if n, err := unix.Lgetxattr(filepath.Join(root, "ping"), "user.test", value); err != nil || string(value[:n]) != "value" {
		t.Errorf("extended attribute: %q, %v", value[:max(n, 0)], err)
	}
}

// A full disk is named, nothing is left, and reading goes on.
func TestFullDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	f := newFixture(t)
	f.config.Root = dir
	s := f.start(t)
	small := importBox(t, s, "small")
	before := storedFiles(t, f)

	h := newHub(t)
	big := entry{"big", strings.Repeat("0123456789abcdef", 200<<10)}
	tests := map[string]func() error{
		"blob does not fit": func() error {
			_, err := s.Pull(t.Context(), h.push(t, "plain:1", image(t, "", layer(t, resource.CompressionNone, big))), "", nil)
			return err
		},
		"layer does not fit": func() error {
			_, err := s.Pull(t.Context(), h.push(t, "gzip:1", image(t, "", layer(t, resource.CompressionGzip, big))), "", nil)
			return err
		},
		"archive does not fit": func() error {
			_, err := s.Load(t.Context(), bytes.NewReader(rootfs(t, big)), "")
			return err
		},
		"import does not fit": func() error {
			_, err := s.Import(t.Context(), bytes.NewReader(rootfs(t, big)), "x", resource.ImageRunConfiguration{})
			return err
		},
		"unpacked import does not fit": func() error {
			_, err := s.Import(t.Context(), bytes.NewReader(compressed(t, rootfs(t, big), resource.CompressionZstd)), "x", resource.ImageRunConfiguration{})
			return err
		},
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			err := do()
			wantKind(t, err, errdefs.ErrResourceExhausted)
			if want := dir + ": no space left on device: free some space"; !strings.Contains(err.Error(), want) {
				t.Errorf("error = %s, want %s", err, want)
			}
			if diff := cmp.Diff(before, storedFiles(t, f)); diff != "" {
				t.Errorf("store (-before +after):\n%s", diff)
			}
			if got, err := s.Get(t.Context(), "box"); err != nil || got.ID != small.ID || fileOf(t, s, got) != "small" {
				t.Errorf("the image that was there: %v", err)
			}
		})
	}
}

// A read-only disk refuses changes and serves what is there.
func TestReadOnlyDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	f := newFixture(t)
	f.config.Root = dir
	importBox(t, f.start(t), "small")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	s := f.start(t)
	_, err := s.Import(t.Context(), bytes.NewReader(rootfs(t, entry{"a", "b"})), "x", resource.ImageRunConfiguration{})
	wantKind(t, err, errdefs.ErrFailedPrecondition)
	if want := "image x:latest: " + dir + ": read-only file system: failed precondition"; err.Error() != want {
		t.Errorf("error = %s\nwant    %s", err, want)
	}
	if got, err := s.Get(t.Context(), "box"); err != nil || fileOf(t, s, got) != "small" {
		t.Errorf("the image that was there: %v", err)
	}
}
