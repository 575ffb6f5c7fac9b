//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// processField returns a line of /proc/PID/status (proc(5)).
func processField(t *testing.T, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("process %d has no %s:\n%s", pid, name, data)
	return ""
}

// groupFile returns the path of a container's control file, in whichever hierarchy
// it is and under whichever of its names.
func groupFile(t *testing.T, id string, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, pattern := range []string{"/sys/fs/cgroup/patchbay-%s/%s", "/sys/fs/cgroup/*/patchbay-%s/%s"} {
			if found, _ := filepath.Glob(fmt.Sprintf(pattern, id, name)); len(found) > 0 {
				return found[0]
			}
		}
	}
	t.Fatalf("container %s has none of the control files %v", id, names)
	return ""
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// wantAccelerator wants a verdict that is right for this machine, and returns how
// many warnings a start gives of it.
func (h *host) wantAccelerator(s resource.AcceleratorStatus) (warnings int) {
	h.t.Helper()
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err == nil {
		device.Close()
	}
	info := h.patchbay("system", "info")
	switch {
	case s.Accelerator == resource.AcceleratorKVM && err == nil && strings.Contains(s.Reason, "a guest answered"):
		return 0
	case s.Accelerator == resource.AcceleratorTCG && err != nil && strings.Contains(s.Reason, "/dev/kvm"):
	case s.Accelerator == resource.AcceleratorTCG && strings.Contains(s.Reason, "a guest did not answer within 10s"):
	default:
		h.t.Errorf("accelerator %+v; /dev/kvm: %v", s, err)
	}
	if !strings.Contains(info, s.String()) {
		h.t.Errorf("want %q in system info:\n%s", s, info)
	}
	return 1
}

// What stands between a guest that has taken over its machine's process and the host;
// and how it ends that this process wants too much, and that nobody is there any more
// to take its remains away.
func TestVirtualMachineIsConfined(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", []byte("[vm]\naccelerator = \"tcg\"\nuser-ids = \"1900000000-1900000003\"\n"), 0o644)
	h.ofMachines().up()
	h.patchbay("network", "create", "jail", "--label", resource.RuntimeLabel+"=vm")
	r := h.try("run", "--rm", "--runtime", "oci", "--network", "jail", "box", "true")
	if want := "patchbay: network jail: is for containers of runtime vm alone (label patchbay.dev/runtime), not of oci\n"; r.code == 0 || r.stderr != want {
		t.Errorf("want %q: %s", want, r)
	}
	h.patchbay("run", "-d", "--name", "vm", "--network", "jail", "--memory", "160m", "--cpus", "1.5", "box", "sleep", "1000")
	c := h.container("vm")
	machine := c.Status.PID

	t.Run("process", func(t *testing.T) {
		user, err := strconv.Atoi(strings.Fields(processField(t, machine, "Uid"))[0])
		if err != nil || user < 1900000000 || user > 1900000003 {
			t.Errorf("user %d, %v", user, err)
		}
		same := strings.TrimSpace(strings.Repeat(strconv.Itoa(user)+" ", 4))
		for field, want := range map[string]string{
			"Uid": same, "Gid": same, "Groups": "", "NoNewPrivs": "1", "Seccomp": "2",
			"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
		} {
			if got := processField(t, machine, field); got != want {
				t.Errorf("%s: %q, want %q", field, got, want)
			}
		}
		devices, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", machine))
		if err != nil || strings.Count(string(devices), ":") != 1 || !strings.Contains(string(devices), "lo:") {
			t.Errorf("network of the process: %s, %v", devices, err)
		}
		for _, namespace := range []string{"net", "ipc", "mnt", "pid"} {
			own, err1 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", machine, namespace))
			ours, err2 := os.Readlink("/proc/self/ns/" + namespace)
			if err1 != nil || err2 != nil || own == ours {
				t.Errorf("namespace %s: %s, the host's %s: %v, %v", namespace, own, ours, err1, err2)
			}
		}
	})
	t.Run("limits", func(t *testing.T) {
		memory, err := strconv.Atoi(contentOf(t, groupFile(t, c.ID, "memory.limit_in_bytes", "memory.max")))
		if err != nil || memory < 160<<20 || memory > 512<<20 {
			t.Errorf("memory: %d, %v", memory, err)
		}
		if got := contentOf(t, groupFile(t, c.ID, "cpu.cfs_quota_us", "cpu.max")); strings.Fields(got)[0] != "150000" {
			t.Errorf("processors: %s", got)
		}
		if got, err := strconv.Atoi(contentOf(t, groupFile(t, c.ID, "pids.max"))); err != nil || got > 300 {
			t.Errorf("threads: %d, %v", got, err)
		}
		for _, file := range [][]string{{"memory.limit_in_bytes", "memory.max"}, {"cpu.cfs_quota_us", "cpu.max"}, {"pids.max"}} {
			members := strings.Fields(contentOf(t, filepath.Join(filepath.Dir(groupFile(t, c.ID, file...)), "cgroup.procs")))
			if !slices.Contains(members, strconv.Itoa(machine)) || slices.Contains(members, strconv.Itoa(c.Status.HelperPID)) {
				t.Errorf("group of %s: processes %v, want %d and not the helper %d", file, members, machine, c.Status.HelperPID)
			}
		}
	})
	t.Run("wants too much memory", func(t *testing.T) {
		// What the process takes beside the guest's memory is now all it may have.
		used, err := strconv.Atoi(contentOf(t, groupFile(t, c.ID, "memory.usage_in_bytes", "memory.current")))
		if err != nil {
			t.Fatal(err)
		}
		limit := groupFile(t, c.ID, "memory.limit_in_bytes", "memory.max")
		if err := os.WriteFile(limit, []byte(strconv.Itoa(used+4<<20)), 0); err != nil {
			t.Fatal(err)
		}
		h.try("exec", "--user", "root", "vm", "sh", "-c", "head -c 60000000 /dev/zero >/dev/shm/x")
		eventually(t, settle, func() error {
			s := h.container("vm").Status
			if s.State != resource.ContainerStopped || s.ExitCode != 137 || !s.OutOfMemory {
				return fmt.Errorf("status %+v, want it stopped for want of memory", s)
			}
			return nil
		})
		if out := h.patchbay("list", "--all"); !strings.Contains(out, "memory") {
			t.Errorf("list: %s", out)
		}
	})
	t.Run("sockets to the host", func(t *testing.T) {
		// This host's kernel may have none, the guest's has: the helper's part and the agent's,
		// both in the guest.
		h.patchbay("start", "vm")
		program := filepath.Join(h.dir, "sockets")
		build := exec.Command("go", "test", "-c", "-tags", "guest", "-ldflags=-s -w", "-o", program, "patchbay.dev/patchbay/internal/runtime/vm/control")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		h.patchbay("cp", program, "vm:/sockets")
		load := "/sockets -test.run BySockets"
		for _, module := range []string{"vsock_loopback", "vmw_vsock_virtio_transport_common", "vsock"} {
			files, err := filepath.Glob("../../dist/kernel/lib/modules/*/kernel/net/vmw_vsock/" + module + ".ko")
			if err != nil || len(files) != 1 {
				t.Fatalf("module %s: %v, %v", module, files, err)
			}
			h.patchbay("cp", files[0], "vm:/")
			load = "insmod /" + module + ".ko; " + load
		}
		out := h.patchbay("exec", "--privileged", "--user", "root", "vm", "sh", "-c", load)
		if out != "carried 8388608 <nil> vsock\nPASS" {
			t.Errorf("got %s", out)
		}
	})
	t.Run("its kernel panics", func(t *testing.T) {
		if r := h.try("restart", "vm"); r.code != 0 || strings.Contains(r.stderr, "\n") {
			t.Errorf("restart: want no warning of an emulation that is wanted: %s", r)
		}
		// The machine hears of a panic by a device of its own.
		if got := h.patchbay("exec", "vm", "ls", "/sys/bus/platform/drivers/pvpanic-mmio"); !strings.Contains(got, "QEMU0001") {
			t.Errorf("driver of the device: %q", got)
		}
		h.try("exec", "--privileged", "--user", "root", "vm", "sh", "-c", "echo c >/proc/sysrq-trigger")
		eventually(t, settle, func() error {
			s := h.container("vm").Status
			if s.State != resource.ContainerStopped || s.ExitCode != 137 || !strings.Contains(s.Message, "kernel has panicked") ||
				!strings.Contains(s.Message, "sysrq triggered crash") || strings.Contains(s.Message, "\n") {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
	})
	t.Run("it is switched off from inside", func(t *testing.T) {
		h.patchbay("start", "vm")
		h.try("exec", "--privileged", "--user", "root", "vm", "sh", "-c", "echo o >/proc/sysrq-trigger")
		eventually(t, settle, func() error {
			s := h.container("vm").Status
			if s.State != resource.ContainerStopped || s.ExitCode != 137 || !strings.HasPrefix(s.Message, "the guest has switched the machine off") {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
	})
	t.Run("its helper is killed", func(t *testing.T) {
		h.patchbay("start", "vm")
		kill(t, h.container("vm").Status.HelperPID)
		eventually(t, settle, func() error {
			if s := h.container("vm").Status; s.State != resource.ContainerStopped || s.ExitCode != 137 || s.OutOfMemory {
				return fmt.Errorf("status %+v", s)
			}
			if left, _ := filepath.Glob("/sys/fs/cgroup/*/patchbay-" + c.ID); len(left) > 0 {
				return fmt.Errorf("left: %v", left)
			}
			return nil
		})
	})
}
