//go:build integration

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/helper"
)

// A sandbox is prepared while its networks allocate. Whoever dies meanwhile, nothing of
// it is left, and nothing of the container has run.
func TestDeathWhileNetworksAllocate(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	mark := filepath.Join(h.dir, "shared")
	if err := os.Mkdir(mark, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, death := range map[string]func(t *testing.T, caller *process, sandbox string, resume func()){
		"caller": func(t *testing.T, caller *process, _ string, resume func()) {
			if err := caller.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			h.wait(caller)
			resume()
		},
		"runtime helper": func(t *testing.T, caller *process, sandbox string, resume func()) {
			p, err := helper.Adopt(sandbox)
			if err != nil {
				t.Fatal(err)
			}
			kill(t, p.PID())
			// The answer comes when the network has given its one.
			resume()
			if r := h.wait(caller); r.code != 125 || !strings.Contains(r.stderr, "container one: its runtime helper died") {
				t.Errorf("want why it did not start: %s", r)
			}
		},
		"patchbayd": func(t *testing.T, caller *process, _ string, resume func()) {
			kill(t, h.daemonPID())
			if r := h.wait(caller); r.code != 125 || !strings.Contains(r.stderr, "connection lost before the answer") {
				t.Errorf("want what became of the call: %s", r)
			}
			resume()
			h.patchbay("system", "start")
			// It was recorded, and is a container that never ran.
			if r := h.try("delete", "one"); r.code != 0 && !strings.Contains(r.stderr, "not found") {
				t.Errorf("%s", r)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			resume := h.suspendPlugins("bridge")
			defer resume()
			caller := h.begin("run", "--name", "one", "--network", "web", "--volume", mark+":/mark", "box", "touch", "/mark/ran")
			death(t, caller, h.prepared(), resume)

			eventually(t, settle, func() error {
				if left, _ := filepath.Glob(filepath.Join(h.runRoot, "sandboxes", "*")); len(left) > 0 {
					return fmt.Errorf("left in the run root: %v", left)
				}
				if left := h.containers(); len(left) > 0 {
					return fmt.Errorf("left: %+v", left)
				}
				if n := h.network("web").Status.AddressesInUse; n > 0 {
					return fmt.Errorf("%d addresses in use", n)
				}
				return nil
			})
			if _, err := os.Stat(filepath.Join(mark, "ran")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the container has run: %v", err)
			}
			if got := h.patchbay("run", "--rm", "--name", "one", "--network", "web", "box", "echo", "again"); got != "again" {
				t.Errorf("afterwards: got %q", got)
			}
		})
	}
}

// prepared waits until the main process of a container only has to be told to begin,
// and returns the directory of its sandbox.
func (h *host) prepared() string {
	h.t.Helper()
	var directory string
	eventually(h.t, settle, func() error {
		created, _ := filepath.Glob(filepath.Join(h.runRoot, "sandboxes", "*", "oci", "*", "exec.fifo")) // fails on a bad pattern alone
		if len(created) != 1 {
			return fmt.Errorf("main processes that wait: %v, want one", created)
		}
		directory = filepath.Dir(filepath.Dir(filepath.Dir(created[0])))
		return nil
	})
	return directory
}
