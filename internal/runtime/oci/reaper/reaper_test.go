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
// adopted.
func TestAdopt(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"(exit 7) & echo $!; wait", "(kill -KILL $(sh -c 'echo $PPID')) & echo $!", "sh -c 'sleep 0.1; exit 7' & echo $!"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		release := shared().Expect()
		if _, err := shared().Run(t.Context(), shell(script, os.Stdin, w)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		buf := make([]byte, 32)
		n, err := r.Read(buf)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(string(buf[:n-1]))
		if err != nil {
			t.Fatal(err)
		}
		if script == "(exit 7) & echo $!; wait" {
			release() // its own parent has waited for it
			continue
		}
		child := shared().Adopt(pid)
		release()
		<-child.Done()
		if code := child.Code(); code != 7 && code != 137 {
			t.Errorf("%s: %d, want 7 or 137", script, code)
		}
		if err := child.Signal(unix.SIGTERM); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("signal to an ended child: %v, want not found", err)
		}
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: process %d is still there: %v", script, pid, err)
		}
	}
}
