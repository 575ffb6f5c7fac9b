//go:build integration

package integration

import (
	"os"
	"slices"
	"testing"
)

// The runtimes that tests of networking run on. What a container is made of is no
// matter of its networks.
const (
	namespaces = "oci"
	machine    = "vm"
)

var runtimes = []string{namespaces, machine}

// onEachRuntime runs a test once for each runtime, on a host that is ready for it and
// not up yet. The containers that the test is about are started by h.run; others are
// made of namespaces.
func onEachRuntime(t *testing.T, test func(t *testing.T, h *host)) {
	t.Parallel()
	on(t, runtimes, test)
}

// soakMachines has every test of networking run on machines.
const soakMachines = "PATCHBAY_SOAK_MACHINES"

// onEachRuntimeAtLength is onEachRuntime for a test that shows nothing of machines that
// others do not: a machine costs seconds, so that it is left to those who have the time.
func onEachRuntimeAtLength(t *testing.T, test func(t *testing.T, h *host)) {
	t.Parallel()
	if os.Getenv(soakMachines) == "" {
		on(t, []string{namespaces}, test)
		return
	}
	on(t, runtimes, test)
}

// dear says that the rest of a test, which needs a machine once more, is left to those who
// have the time.
func (h *host) dear() bool { return h.runtime == machine && os.Getenv(soakMachines) == "" }

func on(t *testing.T, runtimes []string, test func(t *testing.T, h *host)) {
	t.Helper()
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			if runtime == machine {
				h.ofMachines()
			}
			test(t, h)
		})
	}
}

// run starts a container of the runtime that the test is for, in the background. The
// arguments are those of "run".
func (h *host) run(args ...string) {
	h.t.Helper()
	h.patchbay(slices.Concat([]string{"run", "-d", "--runtime", h.runtime}, args)...)
}

// sleeps are the image and command of a container that waits.
var sleeps = []string{"box", "sleep", "1000"}

// runAsleep starts one that waits.
func (h *host) runAsleep(args ...string) {
	h.t.Helper()
	h.run(slices.Concat(args, sleeps)...)
}
