//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/helper"
	"patchbay.dev/patchbay/resource"
)

// A container gets the helper that was started for nobody, with all that the host
// has by then; what is on standby is no container, and goes with patchbayd, however
// that ends.
func TestStandbyHelper(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	shared := filepath.Join(h.dir, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("run", "-d", "--name", "first", "--network", "web", "box", "sleep", "1000")
	h.standby()
	if got := h.patchbay("list", "--all", "--quiet"); strings.Count(got, "\n") != 0 {
		t.Errorf("list: got %q, want the one container", got)
	}

	// A file system that is mounted later. The helper's mounts are copies.
	if err := unix.Mount("later", shared, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(shared, unix.MNT_DETACH)
	if err := os.WriteFile(filepath.Join(shared, "word"), []byte("seen\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := h.patchbay("run", "--rm", "--volume", shared+":/mnt", "box", "cat", "/mnt/word"); got != "seen" {
		t.Errorf("a mount made after the helper: got %q", got)
	}
	if err := unix.Unmount(shared, 0); err != nil {
		t.Errorf("a mount that a container has used: %v", err)
	}

	// Whatever else is mounted or unmounted on the machine meanwhile is a reason not to
	// take the one that waits.
	eventually(t, settle, func() error {
		h.try("delete", "--force", "second")
		waiting := h.standby()
		h.patchbay("run", "-d", "--name", "second", "--network", "web", "-p", "8080:7", "box", "sleep", "1000")
		if got := h.container("second").Status.HelperPID; got != waiting {
			return fmt.Errorf("helper of the second container: %d, want %d, which was on standby", got, waiting)
		}
		return nil
	})
	if got := h.patchbay("exec", "second", "cat", "/etc/hostname"); got != h.container("second").ID[:12] {
		t.Errorf("its host name: got %q, want its id", got)
	}

	// What waits ends with patchbayd, however that ends; containers go on, also one whose
	// helper was on standby, and another patchbayd takes them over.
	waiting := h.standby()
	kill(t, h.daemonPID())
	h.gone(waiting)
	h.patchbay("system", "start")
	if s := h.container("second").Status; s.State != resource.ContainerRunning {
		t.Errorf("after the death of patchbayd: got %+v, want it running", s)
	}
	kill(t, h.container("second").Status.HelperPID) // its directory is where it is looked for
	eventually(t, settle, func() error {
		if s := h.container("second").Status; s.State != resource.ContainerStopped || !strings.Contains(s.Message, "helper died") {
			return fmt.Errorf("after the death of its helper: %+v", s)
		}
		return nil
	})
	h.patchbay("start", "second")

	waiting = h.standby()
	if err := syscall.Kill(h.daemonPID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.gone(waiting)
	eventually(t, settle, func() error {
		if left, _ := filepath.Glob(filepath.Join(h.runRoot, "standby*")); len(left) > 0 {
			return fmt.Errorf("left in the run root: %v", left)
		}
		return nil
	})
	h.patchbay("system", "start") // so that the end of the test stops all
}

// standby waits for the helper that is on standby and returns its process.
func (h *host) standby() int {
	h.t.Helper()
	var found int
	eventually(h.t, settle, func() error {
		records, _ := filepath.Glob(filepath.Join(h.runRoot, "standby", "*", helper.RecordFile))
		if len(records) != 1 {
			return fmt.Errorf("helpers on standby: %v, want one", records)
		}
		p, err := helper.Adopt(filepath.Dir(records[0]))
		if err != nil {
			return err
		}
		found = p.PID()
		return nil
	})
	return found
}

// gone waits for the end of a process.
func (h *host) gone(pid int) {
	h.t.Helper()
	eventually(h.t, settle, func() error {
		if _, there := h.processes()[pid]; there {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}
