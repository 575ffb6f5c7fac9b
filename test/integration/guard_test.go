//go:build integration

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// guardVariable makes the test binary the guard of another one.
const guardVariable = "PATCHBAY_TEST_GUARD"

// guard is told of the directories of hosts by a pipe, of which it has the other end: a test binary that
// is cut off by its time limit, or killed, cleans up nothing, and patchbayd belongs to nobody.
var guard io.Writer = io.Discard

// startGuard starts a process that outlives this one, and then ends what this has left.
func startGuard() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := newGuard(r).Start(); err != nil {
		return err
	}
	guard = w
	return nil
}

func newGuard(told io.Reader) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), guardVariable+"=1")
	cmd.Stdin = told
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not interrupted with the tests
	return cmd
}

// TestGuard: what runs for a host of which something is left is killed, nothing else.
func TestGuard(t *testing.T) {
	t.Parallel()
	left, cleaned := t.TempDir(), t.TempDir()
	sleeper := func(dir string) *exec.Cmd {
		c := exec.Command("sleep", "1000")
		c.Env = []string{"PATCHBAY_ROOT=" + dir + "/root"}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	doomed, spared := sleeper(left), sleeper(cleaned)
	t.Cleanup(func() { _ = spared.Process.Kill(); _ = spared.Wait() })
	ended := make(chan error, 1)
	go func() { ended <- doomed.Wait() }()
	if err := newGuard(strings.NewReader(left + "\n" + cleaned + "\n" + cleaned + "\n")).Run(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("the one of the host that is left: %v, want it killed", err)
	}
	if err := spared.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the one of the host that was cleaned up: %v, want it alive", err)
	}
}

// beGuard reads directories until the tests have ended, each of which a second time when nothing is left of
// it, and kills what runs for the others.
func beGuard(told io.Reader) {
	left := map[string]bool{}
	for lines := bufio.NewScanner(told); lines.Scan(); {
		left[lines.Text()] = !left[lines.Text()]
	}
	for dir, isLeft := range left {
		if isLeft {
			endAll(dir)
		}
	}
}

// endAll kills all processes that carry a host's directory, until there is none: one may start another.
func endAll(dir string) {
	h := &host{dir: dir + "/"} // else it is part of the names of others
	for range 100 {
		all := h.carriers()
		if len(all) == 0 {
			return
		}
		for pid := range all {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
	}
}

func (h *host) guarded() { fmt.Fprintln(guard, h.dir) }
