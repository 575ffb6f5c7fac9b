//go:build integration

package treecopy

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// With Keep all comes along, without it nothing that makes a file another user's.
func TestKeep(t *testing.T) {
	t.Parallel()
	from := plant(t, t.TempDir(), "d 755 d", "f 644 d/f x", "l d/l f", "d 755 d/e")
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // cap_net_raw+e, VFS_CAP_REVISION_2
	for name, err := range map[string]error{
		"owner":      os.Lchown(filepath.Join(from, "d/f"), 1000, 2000),
		"mode":       unix.Chmod(filepath.Join(from, "d/f"), 0o6755),
		"link":       os.Lchown(filepath.Join(from, "d/l"), 1001, 2001),
		"directory":  os.Lchown(filepath.Join(from, "d/e"), 1002, 2002),
		"sticky":     unix.Chmod(filepath.Join(from, "d/e"), 0o1770),
		"capability": unix.Setxattr(filepath.Join(from, "d/f"), "security.capability", []byte(capability), 0),
		"attribute":  unix.Setxattr(filepath.Join(from, "d/e"), "user.note", []byte("a\x00b"), 0),
	} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, keep := range []bool{true, false} {
		to := t.TempDir()
		if _, err := copied(t, container(t, from), "/d", false, container(t, to), "/", keep); err != nil {
			t.Fatal(err)
		}
		want := map[string][3]uint32{"d/f": {0o755, 0, 0}, "d/l": {0o777, 0, 0}, "d/e": {0o770, 0, 0}}
		capabilityWant, noteWant := "", ""
		if keep {
			want = map[string][3]uint32{"d/f": {0o6755, 1000, 2000}, "d/l": {0o777, 1001, 2001}, "d/e": {0o1770, 1002, 2002}}
			capabilityWant, noteWant = capability, "a\x00b"
		}
		for name, w := range want {
			var info unix.Stat_t
			if err := unix.Lstat(filepath.Join(to, name), &info); err != nil {
				t.Fatal(err)
			}
			if got := [3]uint32{info.Mode & 0o7777, info.Uid, info.Gid}; got != w {
				t.Errorf("keep %v: %s: mode, owner and group %o, want %o", keep, name, got, w)
			}
		}
		if got := attribute(t, filepath.Join(to, "d/f"), "security.capability"); got != capabilityWant {
			t.Errorf("keep %v: capability %q", keep, got)
		}
		if got := attribute(t, filepath.Join(to, "d/e"), "user.note"); got != noteWant {
			t.Errorf("keep %v: attribute %q", keep, got)
		}
	}
}

func attribute(t *testing.T, path, name string) string {
	t.Helper()
	value := make([]byte, 100)
	n, err := unix.Getxattr(path, name, value)
	if err != nil && err != unix.ENODATA {
		t.Error(err)
	}
	return string(value[:max(0, n)])
}
