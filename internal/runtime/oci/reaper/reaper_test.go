package reaper_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/oci/reaper"
)

// The tests share one reaper, as it waits for all children of the process, and
// the process takes orphans as process 1 of a PID namespace does.
var shared = sync.OnceValue(func() *reaper.Reaper {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	return reaper.Start()
})

func shell(script string, files ...*os.File) reaper.Command {
	return reaper.Command{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Files: files}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"exit 0": 0, "exit 42": 42, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		status, err := shared().Run(t.Context(), shell(script))
		if err != nil || reaper.Code(status) != want {
			t.Errorf("%s: %d, %v, want %d", script, reaper.Code(status), err, want)
		}
	}
	if _, err := shared().Run(t.Context(), reaper.Command{Args: []string{"/nothere"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("run of nothing: %v", err)
	}
}

func TestRunIsCut(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		_, _ = r.Read(make([]byte, 1))
		cancel()
	}()
	_, err = shared().Run(ctx, shell("echo; exec sleep 1000", os.Stdin, w))
	w.Close()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want canceled", err)
	}
}

// TestAdopt: orphans are waited for, whether they end before or after they are
// adopted. Their parent becomes another program, for a shell might wait for them.
func TestAdopt(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{
		"(kill -KILL $(sh -c 'echo $PPID')) & exec echo $!": 137,
		"sh -c 'sleep 0.1; exit 7' & exec echo $!":          7,
	} {
		release := shared().Expect()
		pid := started(t, script)
		child, err := shared().Adopt(pid)
		release()
		if err != nil {
			t.Fatal(err)
		}
		<-child.Done()
		if code := child.Code(); code != want {
			t.Errorf("%s: %d, want %d", script, code, want)
		}
		if err := child.Signal(unix.SIGTERM); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("signal to an ended child: %v, want not found", err)
		}
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: process %d is still there: %v", script, pid, err)
		}
	}
}

// TestAdoptTooLate: who has ended for another parent is not waited for.
func TestAdoptTooLate(t *testing.T) {
	t.Parallel()
	defer shared().Expect()()
	if child, err := shared().Adopt(started(t, "(exit 7) & echo $!; wait")); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("adopted %v, %v, want not found", child, err)
	}
}

// started runs a script to its end, which says a process that it has started.
func started(t *testing.T, script string) (pid int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = shared().Run(t.Context(), shell(script, os.Stdin, w))
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(string(buf[:n-1])); err != nil {
		t.Fatal(err)
	}
	return pid
}
