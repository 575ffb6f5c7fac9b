//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay.dev/patchbay/resource"
)

// A stop takes everything off the host; configuration stays.
func TestSystemStopLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24")
	for i := range 3 {
		h.patchbay("run", "-d", "--name", fmt.Sprintf("c%d", i), "--network", "web", "--network", "lan", "box", "sleep", "1000")
	}
	before := h.container("c0")
	web := h.network("web").Status
	h.patchbay("system", "stop")
	eventually(t, settle, h.residue)

	h.patchbay("system", "start")
	if s := h.container("c0").Status; s.State == resource.ContainerRunning {
		t.Errorf("container c0 after stop and start of the system: got %s", s.State)
	}
	eventually(t, settle, func() error {
		if s := h.network("web").Status; s.State != resource.NetworkReady {
			return fmt.Errorf("network web: %s (%s)", s.State, s.Message)
		}
		return nil
	})
	if s := h.network("web").Status; s.IPv4Subnet != web.IPv4Subnet || s.IPv6Subnet != web.IPv6Subnet {
		t.Errorf("subnets of web: got %v and %v, want %v and %v as before", s.IPv4Subnet, s.IPv6Subnet, web.IPv4Subnet, web.IPv6Subnet)
	}
	h.patchbay("start", "c0")
	if now := h.container("c0"); now.ID != before.ID {
		t.Errorf("container c0: got another one")
	}
}

// What the caller has open, such as a lock or a pipe that somebody reads to its end, does
// not stay open in what goes on after the command.
func TestDescriptorsOfTheCaller(t *testing.T) {
	t.Parallel()
	start := func(h *host, file *os.File, name string, args ...string) *process {
		h.t.Helper()
		p := h.prepare(nil, name, args...)
		p.ExtraFiles = []*os.File{file}
		if err := h.ns.Do(p.Start); err != nil {
			h.t.Fatal(err)
		}
		return p
	}
	holders := func(h *host, file *os.File) (names []string) {
		for pid, p := range h.processes() {
			fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			for _, fd := range fds {
				if target, err := os.Readlink(fd); err == nil && target == file.Name() {
					names = append(names, p.name)
				}
			}
		}
		return names
	}
	for _, by := range []struct {
		name string
		want []string
		run  func(h *host, file *os.File)
	}{
		{"system start", nil, func(h *host, file *os.File) {
			h.must(h.wait(start(h, file, binary("patchbay"), "system", "start")))
		}},
		{"patchbayd", []string{"patchbayd"}, func(h *host, file *os.File) {
			p := start(h, file, binary("patchbayd"))
			go func() { _ = p.Wait() }() // the end of the test stops it
			eventually(h.t, settle, func() error {
				if r := h.try("system", "status"); r.code != 0 {
					return fmt.Errorf("%s%s", r, p.err.String())
				}
				return nil
			})
		}},
	} {
		t.Run(by.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			file, err := os.Create(filepath.Join(h.dir, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			by.run(h, file)
			h.importBox()
			h.patchbay("network", "create", "web")
			h.patchbay("run", "-d", "--name", "one", "--network", "web", "box", "sleep", "1000")
			h.standby()
			if got := holders(h, file); !slices.Equal(got, by.want) {
				t.Errorf("a descriptor of the caller is open in %v, want %v", got, by.want)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	for _, n := range []string{"used", "unused"} {
		h.patchbay("network", "create", n)
	}
	h.patchbay("create", "--name", "one", "--network", "used", "box", "true")
	h.patchbay("network", "prune")
	names := strings.Fields(h.patchbay("network", "list", "-q"))
	if len(names) != 2 {
		t.Errorf("network prune: got %v, want the built-in one and the one in use", names)
	}
	h.patchbay("image", "tag", "box", "unused:1")
	h.patchbay("image", "prune", "--all")
	if out := h.patchbay("image", "list"); !strings.Contains(out, "box") {
		t.Errorf("image prune: the image of a container is gone:\n%s", out)
	}
}

// Starts on many networks at once do not wait for, or disturb, one another; no
// two containers get the same address.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	const n = 12
	var wait sync.WaitGroup
	results := make([]result, n)
	for i := range n {
		p := h.begin("run", "-d", "--name", fmt.Sprintf("c%d", i), "--network", "web", "box", "sleep", "1000")
		wait.Go(func() { results[i] = h.wait(p) })
	}
	wait.Wait()
	var addresses []string
	for i, r := range results {
		if r.code != 0 {
			t.Fatalf("%s", r)
		}
		a := h.attachment(fmt.Sprintf("c%d", i), "web")
		addresses = append(addresses, a.IPv4Address.String(), a.IPv6Address.String(), string(a.MACAddress))
	}
	slices.Sort(addresses)
	if unique := slices.Compact(slices.Clone(addresses)); len(unique) != len(addresses) {
		t.Errorf("addresses are given twice: %v", addresses)
	}
	if s := h.network("web").Status; s.AddressesInUse != n {
		t.Errorf("addresses in use: got %d, want %d", s.AddressesInUse, n)
	}
	for i := range n {
		p := h.begin("delete", "--force", fmt.Sprintf("c%d", i))
		wait.Go(func() { results[i] = h.wait(p) })
	}
	wait.Wait()
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("%s", r)
		}
	}
}

// Networks that are created at once choose subnets that do not overlap.
func TestManyNetworksAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	const n = 8
	var wait sync.WaitGroup
	results := make([]result, n)
	for i := range n {
		p := h.begin("network", "create", fmt.Sprintf("n%d", i))
		wait.Go(func() { results[i] = h.wait(p) })
	}
	wait.Wait()
	for i, r := range results {
		if r.code != 0 {
			t.Fatalf("%s", r)
		}
		for j := range i {
			a, b := h.network(fmt.Sprintf("n%d", i)).Status, h.network(fmt.Sprintf("n%d", j)).Status
			if a.IPv4Subnet.Overlaps(b.IPv4Subnet) || a.IPv6Subnet.Overlaps(b.IPv6Subnet) {
				t.Errorf("networks n%d and n%d overlap: %v %v, %v %v", i, j, a.IPv4Subnet, a.IPv6Subnet, b.IPv4Subnet, b.IPv6Subnet)
			}
		}
	}
}

// A start that fails on its last network leaves nothing of the first.
func TestStartIsAllOrNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "tiny", "--subnet", "10.41.0.0/30") // one container
	h.patchbay("run", "-d", "--name", "first", "--network", "tiny", "box", "sleep", "1000")
	h.patchbay("create", "--name", "second", "--network", "web", "--network", "tiny", "box", "sleep", "1000")
	between := h.between()
	wantRefusal(t, h.try("start", "second"), []int{1}, "tiny")
	eventually(t, settle, func() error {
		now := h.snapshot()
		// A network may remember what it would give again.
		now["file"] = slices.DeleteFunc(now["file"], func(path string) bool { return strings.Contains(path, "/state/leases/") })
		between["file"] = slices.DeleteFunc(between["file"], func(path string) bool { return strings.Contains(path, "/state/leases/") })
		return between.same(now)
	})
	if s := h.network("web").Status; s.AddressesInUse != 0 {
		t.Errorf("network web: %d addresses in use, want 0", s.AddressesInUse)
	}
	h.patchbay("stop", "-t", "0", "first")
	h.patchbay("delete", "first")
	h.patchbay("start", "second")
}

// Who does not answer is named, with what ends it, which does.
func TestProcessesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t).up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db")
	h.runAsleep("--name", "one", "--network", "web")
	faults := func() (all []string) {
		t.Helper()
		var info struct {
			Checks []resource.HostCheck `json:"checks"`
		}
		if err := json.Unmarshal([]byte(h.patchbay("system", "info", "--format", "json")), &info); err != nil {
			t.Fatal(err)
		}
		for _, c := range info.Checks {
			if strings.HasPrefix(c.Name, "network ") || strings.HasPrefix(c.Name, "container ") {
				all = append(all, c.Name+": "+c.Detail)
			}
		}
		return all
	}
	wanted := func(want ...string) {
		t.Helper()
		eventually(t, settle, func() error { // a busy machine lets others answer late
			if diff := cmp.Diff(want, faults()); diff != "" {
				return fmt.Errorf("faults (-want +got):\n%s", diff)
			}
			return nil
		})
	}
	wanted()
	plugin, helper := h.network("db").Status.PluginPID, h.container("one").Status.HelperPID
	stopProcess(t, plugin)
	stopProcess(t, helper)
	wanted(
		fmt.Sprintf("network db: its plugin does not answer (process %d): \"patchbay plugin restart --network db\" starts it anew", plugin),
		fmt.Sprintf("container one: its runtime helper does not answer (process %d): \"patchbay kill one\" ends both", helper),
	)
	h.patchbay("kill", "one")
	h.patchbay("plugin", "restart", "--network", "db")
	wanted() // they were right
	eventually(t, settle, func() error {
		if s := h.container("one").Status; s.State != resource.ContainerStopped {
			return fmt.Errorf("container one: %+v, want it stopped", s)
		}
		return nil
	})
}
