//go:build integration

package cgroup_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/runtime/oci/cgroup"
)

// made is a group of the test's own, which is gone with it.
func made(t *testing.T, l cgroup.Limits) (g cgroup.Group, id string) {
	t.Helper()
	id = fmt.Sprintf("test-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	g, err := cgroup.Of(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(context.Background()); err != nil {
			t.Error(err)
		}
		if left := directories(id); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	if err := g.Make(l); err != nil {
		t.Fatal(err)
	}
	return g, id
}

func directories(id string) []string {
	one, _ := filepath.Glob("/sys/fs/cgroup" + cgroup.Path(id))
	each, _ := filepath.Glob("/sys/fs/cgroup/*" + cgroup.Path(id))
	return append(one, each...)
}

// value finds a file of the group in whichever hierarchy it is.
func value(t *testing.T, id string, names ...string) string {
	t.Helper()
	for _, dir := range directories(id) {
		for _, name := range names {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				return strings.TrimSpace(string(data))
			}
		}
	}
	t.Fatalf("none of %v in %v", names, directories(id))
	return ""
}

func TestLimits(t *testing.T) {
	g, id := made(t, cgroup.Limits{MemoryBytes: 64 << 20, PIDs: 7})
	if got := value(t, id, "memory.limit_in_bytes", "memory.max"); got != strconv.Itoa(64<<20) {
		t.Errorf("memory: %s", got)
	}
	if got := value(t, id, "pids.max"); got != "7" {
		t.Errorf("processes: %s", got)
	}
	if err := g.Set(cgroup.Limits{NanoCPUs: 1.5e9}); err != nil {
		t.Fatal(err)
	}
	if got := value(t, id, "cpu.cfs_quota_us", "cpu.max"); strings.Fields(got)[0] != "150000" {
		t.Errorf("processors: %s", got)
	}
	if got := value(t, id, "pids.max"); got != "7" {
		t.Errorf("processes after a change of another limit: %s", got)
	}
}

// A process is in the group before its first instruction, in every hierarchy, and
// the process that starts it is in none.
func TestStart(t *testing.T) {
	before, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	g, id := made(t, cgroup.Limits{PIDs: 7})
	for range 20 { // on whichever threads
		cmd := exec.Command("cat", "/proc/self/cgroup")
		var out strings.Builder
		cmd.Stdout = &out
		if err := g.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		want := 3 // memory, cpu, pids
		if cgroup.CurrentMode() == cgroup.V2 {
			want = 1
		}
		if n := strings.Count(out.String(), cgroup.Path(id)+"\n"); n != want {
			t.Fatalf("groups of the process: in %d, want %d:\n%s", n, want, out.String())
		}
		if pids, err := g.Processes(); err != nil || slices.Contains(pids, os.Getpid()) {
			t.Fatalf("processes of the group: %v, %v", pids, err)
		}
	}
	if after, err := os.ReadFile("/proc/self/cgroup"); err != nil || string(after) != string(before) {
		t.Errorf("own groups: %s, %v", after, err)
	}
	threads, err := filepath.Glob("/proc/self/task/*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), cgroup.Path(id)) {
			t.Errorf("%s:\n%s", path, data)
		}
	}
}

func TestOOMKills(t *testing.T) {
	g, _ := made(t, cgroup.Limits{MemoryBytes: 16 << 20})
	cmd := exec.Command("awk", `BEGIN { x = "a"; while (1) x = x x }`)
	if err := g.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || g.OOMKills() != 1 {
		t.Errorf("ended %v, killed %d", err, g.OOMKills())
	}
}
