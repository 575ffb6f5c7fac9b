package program

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRelease: the process that waits is let go by one byte; where nobody waits,
// nothing is done.
func TestRelease(t *testing.T) {
	t.Parallel()
	p := Program{ID: "box", StateDir: t.TempDir()}
	pipe := filepath.Join(p.Root(), p.ID, "exec.fifo")
	if p.release() {
		t.Error("released what was never created")
	}
	if err := os.MkdirAll(filepath.Dir(pipe), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pipe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p.release() {
		t.Error("released by a plain file")
	}
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if p.release() {
		t.Error("released though nobody waits")
	}
	waiting, err := os.OpenFile(pipe, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if !p.release() {
		t.Fatal("not released")
	}
	if n, err := waiting.Read(make([]byte, 8)); n != 1 {
		t.Errorf("got %d bytes, %v, want one", n, err)
	}
	if _, err := os.Stat(pipe); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pipe is still there: %v", err)
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	if sealed.Fd() < sealFD {
		t.Errorf("descriptor %d is in the way of a child's", sealed.Fd())
	}
	if _, err := sealed.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v, want that it is refused", err)
	}
	same, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := make([]byte, len(same)+1)
	if n, _ := sealed.ReadAt(copied, 0); string(copied[:n]) != string(same) {
		t.Errorf("the copy has %d bytes and differs from the %d of %s", n, len(same), path)
	}

	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxSealed+1), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{large, filepath.Join(t.TempDir(), "nothere")} {
		if f, err := seal(path); err == nil {
			f.Close()
			t.Errorf("%s: copied", path)
		}
	}
}
