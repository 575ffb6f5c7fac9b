package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
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

// A helper with many open files, such as one for each published port: the copy is
// executed though its descriptor was made right after those of the program's files,
// where fork puts what has low numbers.
func TestSealBesideManyFiles(t *testing.T) {
	path, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	open := func() *os.File {
		t.Helper()
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for range 80 {
		low := []*os.File{open(), open(), open(), open()}
		f := open()
		for _, l := range low {
			l.Close()
		}
		sealed, err := Program{Path: path}.copy([]*os.File{f, f, f})
		if err != nil {
			t.Fatal(err)
		}
		pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", sealed.Fd()), []string{path}, &syscall.ProcAttr{Files: []uintptr{f.Fd(), f.Fd(), f.Fd()}})
		if err != nil {
			t.Fatalf("descriptor %d beside %d: %v", sealed.Fd(), f.Fd(), err)
		}
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			t.Error(err)
		}
		sealed.Close()
	}
}

// TestCopy: what nobody can write to, and what is made anew when the program has
// changed.
func TestCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "program")
	content := func(f *os.File) string {
		t.Helper()
		defer f.Close()
		data := make([]byte, 64)
		n, _ := f.ReadAt(data, 0)
		return string(data[:n])
	}
	if err := os.WriteFile(path, []byte("first"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.file.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v, want that it is refused", err)
	}
	p := Program{Path: path, Copy: first}
	got, err := p.copy(nil)
	if err != nil || content(got) != "first" {
		t.Fatalf("copy: %v, want that of the first program", err)
	}
	if _, err := first.file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the copy made in advance is still open: %v", err)
	}

	if p.Copy, err = Load(path); err != nil {
		t.Fatal(err)
	}
	fresh := path + ".new"
	if err := errors.Join(os.WriteFile(fresh, []byte("other"), 0o700), os.Rename(fresh, path)); err != nil {
		t.Fatal(err)
	}
	if got, err = p.copy(nil); err != nil || content(got) != "other" {
		t.Errorf("copy: %v, want that of the program that took the place of the first", err)
	}

	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxSealed+1), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{large, filepath.Join(t.TempDir(), "nothere")} {
		if c, err := Load(path); err == nil {
			c.Close()
			t.Errorf("%s: copied", path)
		}
	}
}
