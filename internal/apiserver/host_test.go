package apiserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/layout"
)

// TestLock is not run beside others: a process that one of them starts has the lock's
// file, too, until its program is executed.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	r := layout.Roots{Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run")}
	if err := makeDirectories(r); err != nil {
		t.Fatal(err)
	}
	first, err := lock(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(r); !errors.Is(err, errdefs.ErrAlreadyExists) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("second lock: %v, want this process named", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := lock(r)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
}

// TestLockOfTheDead: what a patchbayd that was killed has left open is waited for.
func TestLockOfTheDead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := layout.Roots{Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run")}
	if err := makeDirectories(r); err != nil {
		t.Fatal(err)
	}
	left, err := lock(r)
	if err != nil {
		t.Fatal(err)
	}
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Lock(), fmt.Appendf(nil, "%d\n", dead.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := make(chan error, 1)
	go func() {
		f, err := lock(r)
		if err == nil {
			f.Close()
		}
		taken <- err
	}()
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Errorf("lock: %v, want it when the last has closed the file", err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // of an earlier process
		t.Fatal(err)
	}
	for _, others := range []bool{false, true} {
		l, err := listen(path, others)
		if err != nil {
			t.Fatal(err)
		}
		want := os.FileMode(0o600)
		if others {
			want = 0o666
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("others %v: %v, %v, want mode %v", others, info, err, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
