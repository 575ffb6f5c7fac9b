//go:build integration

package integration

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// While containers start, end, come onto networks and leave them, any process of Patchbay dies at any
// moment, again and again. Afterwards nothing of it all is left: no address in use, nothing on the host.
// The seed that is logged, in PATCHBAY_SOAK_SEED, chooses the same actions and moments, and the same of
// the processes as far as these are the same.
func TestCyclesOfDeaths(t *testing.T) {
	onEachRuntimeAtLength(t, testCyclesOfDeaths)
}

func testCyclesOfDeaths(t *testing.T, h *host) {
	rounds, seed := 12, uint64(time.Now().UnixNano())
	for variable, value := range map[string]any{"PATCHBAY_SOAK_DEATHS": &rounds, "PATCHBAY_SOAK_SEED": &seed} {
		if v := os.Getenv(variable); v != "" {
			if _, err := fmt.Sscan(v, value); err != nil {
				t.Fatalf("%s=%q: want a number", variable, v)
			}
		}
	}
	t.Logf("PATCHBAY_SOAK_SEED=%d", seed)
	chosen := rand.New(rand.NewPCG(seed, 0))

	h.up()
	h.patchbay("network", "create", "web", "--subnet", "10.89.0.0/24")
	h.patchbay("network", "create", "db")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	app := []string{"run", "-d", "--runtime", h.runtime, "--name", "app", "--network", "web,ip=10.89.0.7", "-p", "8080:7", "box", "sleep", "1000"}
	h.patchbay(app...)
	actions := [][]string{
		{"run", "--rm", "--network", "web", "--network", "db", "box", "true"},
		{"run", "--rm", "--network", "lan", "--network", "user", "box", "true"},
		{"run", "--name", "other", "--runtime", h.runtime, "--network", "web", "--network", "lan,ip=10.77.0.7", "box", "true"},
		{"stop", "-t", "0", "app"},
		{"delete", "--force", "app"},
		app,
		{"start", "app"},
		{"network", "connect", "db", "app"},
		{"network", "disconnect", "db", "app"},
		{"network", "connect", "lan", "app"},
		{"network", "disconnect", "lan", "app"},
		{"network", "connect", "user", "app"},
		{"network", "disconnect", "user", "app"},
		{"delete", "--force", "other"},
	}
	for round := range rounds {
		args := actions[chosen.IntN(len(actions))]
		pause, pick := time.Duration(chosen.IntN(150))*time.Millisecond, chosen.IntN(1<<20)
		action := h.begin(args...)
		<-time.After(pause) // the moment is what is chosen
		victims := h.victims()
		if len(victims) > 0 {
			pids := slices.SortedFunc(maps.Keys(victims), func(a, b int) int {
				return cmp.Or(strings.Compare(victims[a], victims[b]), a-b)
			})
			pid := pids[pick%len(pids)]
			t.Logf("round %d: %v after %q", round, pause, args)
			t.Logf("round %d: kill %s", round, victims[pid])
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				t.Fatal(err)
			}
		}
		h.wait(action) // whatever comes of it
		h.patchbay("system", "start")
	}
	for _, name := range []string{"app", "other"} {
		h.try("delete", "--force", name)
	}
	eventually(t, settle, func() error {
		for _, c := range h.containers() {
			return fmt.Errorf("container %s is left: %+v", c.Name, c.Status)
		}
		return nil
	})
	networks := []string{"web", "db", "lan", "user"}
	for _, network := range networks {
		h.inUse(network, 0)
	}
	h.patchbay(app...) // its name, its address and its port are free
	for _, network := range networks[1:] {
		h.patchbay("network", "connect", network, "app")
	}
	h.patchbay("delete", "--force", "app")
}

// victims are the processes of Patchbay itself and its machines, by what they run; not the command
// line and not what runs in containers.
func (h *host) victims() map[int]string {
	all := map[int]string{}
	for pid, p := range h.processes() {
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		ours := strings.Contains(program, "/dist/") && !strings.HasSuffix(program, "/bin/patchbay")
		if err != nil || !ours && !strings.Contains(program, "/qemu-") {
			continue
		}
		all[pid] = p.line
	}
	return all
}
