//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// ofMachines has the test be about virtual machines, which start from a template.
func (h *host) ofMachines() *host {
	h.t.Helper()
	h.runtime = machine
	return h.shareMachines()
}

// machines is the directory of disks and saved machines that hosts share. They are
// alike, and to make them takes longer than most tests.
var machines = sync.OnceValues(func() (string, error) { return os.MkdirTemp("/tmp", "pb-machines") })

// shareMachines has the host use what others have made.
func (h *host) shareMachines() *host {
	h.t.Helper()
	dir, err := machines()
	if err != nil {
		h.t.Fatal(err)
	}
	cache := filepath.Join(h.root, "cache")
	if err := errors.Join(os.MkdirAll(cache, 0o755), os.Symlink(dir, filepath.Join(cache, "vm"))); err != nil {
		h.t.Fatal(err)
	}
	return h
}

func (h *host) upKernel() {
	h.t.Helper()
	images, err := filepath.Glob("../../dist/kernel/boot/vmlinuz-*")
	if err != nil || len(images) != 1 {
		h.t.Fatalf("kernels %v, %v: run \"make deps\" first", images, err)
	}
	image, err := filepath.Abs(images[0])
	if err != nil {
		h.t.Fatal(err)
	}
	h.patchbay("system", "kernel", "set", image)
}

// machinePID is the process of a container's virtual machine.
func (h *host) machinePID(name string) int {
	h.t.Helper()
	return h.container(name).Status.PID
}

func TestVirtualMachineBesideNamespaces(t *testing.T) {
	t.Parallel()
	h := newHost(t).ofMachines().up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "db", "--internal")
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64", "--option", "parent="+uplink)
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	h.patchbay("run", "-d", "--name", "near", "--network", "web", "--network", "db", "--network", "lan", "--network", "user", "box", "sleep", "1000")
	h.patchbay("run", "-d", "--runtime", "vm", "--name", "vm", "--hostname", "guest", "--env", "A=1", "--user", "user",
		"--network", "web,rate-in=700mbit,rate-out=800mbit", "--network", "db,ifname=back", "--network", "lan", "--network", "user", "box", "sleep", "1000")

	t.Run("is a machine of its own", func(t *testing.T) {
		own, host := h.patchbay("exec", "vm", "cat", "/proc/sys/kernel/random/boot_id"), h.patchbay("exec", "near", "cat", "/proc/sys/kernel/random/boot_id")
		if own == host || own == "" {
			t.Errorf("boot id %q, the host's %q", own, host)
		}
	})
	t.Run("is told of", func(t *testing.T) {
		want := resource.MachineStatus{Type: resource.MachineQ35, Accelerator: resource.AcceleratorTCG, Template: true, Channel: resource.ChannelStatus{
			Channel: resource.ChannelSerial, Reason: "there is no /dev/vhost-vsock: load the module vhost_vsock",
		}}
		if _, err := os.Stat("/dev/vhost-vsock"); err == nil {
			want.Channel = resource.ChannelStatus{Channel: resource.ChannelVsock, Reason: "/dev/vhost-vsock opens"}
		}
		if got := h.container("vm").Status.Machine; got == nil || *got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := h.container("near").Status.Machine; got != nil {
			t.Errorf("of namespaces: %+v", got)
		}
	})
	t.Run("exec", func(t *testing.T) {
		out := h.patchbay("exec", "vm", "sh", "-c", "hostname; id -un; echo $A; echo to-stderr >&2; ip -o link | wc -l")
		if out != "guest\nuser\n1\n5" {
			t.Errorf("output %q", out)
		}
		if r := h.try("exec", "vm", "sh", "-c", "exit 7"); r.code != 7 {
			t.Errorf("exit code: %s", r)
		}
		if r := h.tryInput("through\n", "exec", "-i", "vm", "cat"); r.stdout != "through\n" || r.code != 0 {
			t.Errorf("input: %s", r)
		}
		if r := h.command(h.ns, "script", "-qec", binary("patchbay")+" exec -t vm tty", "/dev/null"); !strings.Contains(r.stdout, "/dev/pts/") {
			t.Errorf("terminal: %s", r)
		}
		if r := h.try("exec", "vm", "no-such-command"); r.code != 127 {
			t.Errorf("no such command: %s", r)
		}
		h.checkExecSignals(t, "vm")
	})
	t.Run("traffic", func(t *testing.T) {
		for _, network := range []string{"web", "db", "lan", "user"} {
			vm, near := h.attachment("vm", network), h.attachment("near", network)
			for _, address := range []string{near.IPv4Address.Addr().String(), near.IPv6Address.Addr().String()} {
				h.patchbay("exec", "--user", "root", "vm", "ping", "-c", "1", "-W", "60", address)
			}
			for _, address := range []string{vm.IPv4Address.Addr().String(), vm.IPv6Address.Addr().String()} {
				h.patchbay("exec", "near", "ping", "-c", "1", "-W", "60", address)
			}
			if name := map[string]string{"web": "eth0", "db": "back", "lan": "eth2", "user": "eth3"}[network]; vm.InterfaceName != name {
				t.Errorf("network %s: interface %s, want %s", network, vm.InterfaceName, name)
			}
		}
		if out := h.patchbay("network", "explain", "vm", farIPv4); !strings.Contains(out, "eth0") || !strings.Contains(out, "the network is nat") {
			t.Errorf("explain: %s", out)
		}
		h.patchbay("exec", "--user", "root", "vm", "ping", "-c", "1", "-W", "60", farIPv4)
		h.patchbay("exec", "--user", "root", "vm", "ping", "-c", "1", "-W", "60", farIPv6)
	})
	t.Run("stats", func(t *testing.T) {
		before := h.samples("vm")[0]
		h.patchbay("exec", "--user", "root", "vm", "ping", "-c", "8", "-i", "0.1", "-s", strconv.Itoa(payload), h.attachment("near", "db").IPv4Address.Addr().String())
		after := h.samples("vm")[0]
		for i, want := range []string{"web=eth0", "db=back", "lan=eth2", "user=eth3"} {
			b, a := before.Attachments[i], after.Attachments[i]
			if a.Network+"="+a.InterfaceName != want {
				t.Errorf("attachment %+v, want %s", a, want)
			}
			datagrams := map[string]int{"db=back": 8}[want]
			grown(t, want+", received", b.Received, a.Received, datagrams)
			grown(t, want+", sent", b.Sent, a.Sent, datagrams)
		}
		if after.Memory.UsedBytes == 0 || after.Memory.UsedBytes > after.Memory.LimitBytes || after.Memory.LimitBytes>>30 != 0 || after.Processes.Count == 0 || after.CPU.UsedNanoseconds <= before.CPU.UsedNanoseconds {
			t.Errorf("memory %+v, processes %+v, cpu %+v, before %+v", after.Memory, after.Processes, after.CPU, before.CPU)
		}
		if after.Block == nil || after.Block.Reads == 0 {
			t.Errorf("block devices of the guest: %+v", after.Block)
		}
		if traffic := h.traffic("vm"); traffic["db"].Sent.Bytes < after.Attachments[1].Sent.Bytes {
			t.Errorf("inspect: %+v, want at least %+v", traffic["db"], after.Attachments[1])
		}
	})
	t.Run("the daemon may die", func(t *testing.T) {
		machine := h.machinePID("vm")
		kill(t, h.daemonPID())
		h.patchbay("system", "start")
		if now := h.machinePID("vm"); now != machine {
			t.Errorf("machine: process %d, was %d", now, machine)
		}
		if out := h.patchbay("exec", "vm", "echo", "still here"); out != "still here" {
			t.Errorf("output %q", out)
		}
	})
	t.Run("what is written is there after a stop", func(t *testing.T) {
		before := h.container("vm").Status.Attachments
		h.patchbay("exec", "--user", "root", "vm", "sh", "-c", "echo kept >/kept")
		h.patchbay("stop", "-t", "1", "vm")
		h.patchbay("start", "vm")
		if out := h.patchbay("exec", "vm", "cat", "/kept"); out != "kept" {
			t.Errorf("file after the stop: %q", out)
		}
		for i, a := range h.container("vm").Status.Attachments {
			if a.IPv4Address != before[i].IPv4Address || a.MACAddress != before[i].MACAddress {
				t.Errorf("attachment %+v, before the stop %+v", a, before[i])
			}
		}
	})
	t.Run("the machine dies", func(t *testing.T) {
		address := h.attachment("vm", "web").IPv4Address
		kill(t, h.machinePID("vm"))
		eventually(t, settle, func() error {
			c := h.container("vm")
			if c.Status.State != resource.ContainerStopped || c.Status.ExitCode != 137 {
				return fmt.Errorf("status %+v", c.Status)
			}
			return nil
		})
		h.wantNoBuckets()
		eventually(t, settle, func() error { // the plugin hears of it a little later
			if r := h.try("run", "--rm", "--network", "web,ip="+address.Addr().String(), "box", "true"); r.code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
	})
}

func TestVirtualMachineRunsToItsEnd(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("config.toml", nil, 0o644) // KVM, if it works here
	h.ofMachines().up()
	var kernel resource.Kernel
	if err := json.Unmarshal([]byte(h.patchbay("system", "kernel", "status", "--format", "json")), &kernel); err != nil {
		t.Fatal(err)
	}
	emulated := h.wantAccelerator(kernel.Accelerator)
	dir := filepath.Join(h.dir, "shared")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	warm := h.try("system", "kernel", "warm", "--memory", "160m", "--cpus", "1.5")
	if warm.code != 0 || !strings.Contains(warm.stdout, "160 MiB, 2 processors") {
		t.Errorf("warm: %s", warm)
	}
	uses := h.usesOf(160<<20, 2)
	r := h.try("run", "--rm", "--runtime", "vm", "--network", "none", "--memory", "160m", "--cpus", "2", "--tmpfs", "/fast", "--read-only", "box",
		"sh", "-c", "nproc; grep MemTotal /proc/meminfo; touch /there; touch /fast/file && echo written; exit 5")
	if now := h.usesOf(160<<20, 2); now <= uses { // others use it too
		t.Errorf("%d machines have gone on from the template of this size, %d before: want this one too", now, uses)
	}
	lines := strings.Split(r.stdout, "\n")
	if r.code != 5 || lines[0] != "2" || !strings.Contains(r.stderr, "Read-only") || !strings.Contains(r.stdout, "written") {
		t.Errorf("run: %s", r)
	}
	if got := strings.Count(r.stderr, "warning: the virtual machine runs in software emulation"); got != emulated {
		t.Errorf("%d warnings, want %d: %s", got, emulated, r)
	}
	if fields := strings.Fields(lines[1]); len(fields) == 3 {
		if kib, err := strconv.Atoi(fields[1]); err != nil || kib > 160<<10 || kib < 64<<10 {
			t.Errorf("memory of the guest: %v KiB, %v", fields, err)
		}
	}
}

func TestVirtualMachineRefuses(t *testing.T) {
	t.Parallel()
	h := newHost(t).lendable()
	h.write("config.toml", []byte("[vm]\naccelerator = \"tcg\"\nboot-timeout = \"200ms\"\n"), 0o644)
	h.up()
	refused := func(text string, args ...string) {
		t.Helper()
		r := h.try(args...)
		if r.code == 0 || !strings.Contains(r.stderr, text) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("want one line with %q: %s", text, r)
		}
	}
	refused("patchbay system kernel set", "run", "--rm", "--runtime", "vm", "box", "true")
	refused("patchbay system kernel set", "system", "kernel", "status")
	refused("not a bootable Linux image", "system", "kernel", "set", binary("patchbay"))
	refused("no such file", "system", "kernel", "set", "/nowhere/vmlinuz")
	refused("want the PATH of a kernel, or --debian", "system", "kernel", "set")
	refused("takes neither", "system", "kernel", "set", "--debian", "/nowhere/vmlinuz")
	h.upKernel()
	refused("memory 64 MiB: a virtual machine needs at least 128", "system", "kernel", "warm", "--memory", "64m")
	refused("cpus \"none\": want a number", "system", "kernel", "warm", "--cpus", "none")
	refused("memory 64 MiB: a virtual machine needs at least 128", "run", "--rm", "--runtime", "vm", "--memory", "64m", "box", "true")
	refused("mount /x: source /dev/null: a virtual machine can be given files and directories of the host only", "run", "--rm", "--runtime", "vm", "-v", "/dev/null:/x", "box", "true")
	refused("mount /x: option rshared: a virtual machine sees mounts as they are when it starts", "run", "--rm", "--runtime", "vm", "-v", h.dir+":/x:rshared", "box", "true")
	refused("the guest does not answer within 200ms (vm.boot-timeout)", "run", "--rm", "--runtime", "vm", "--memory", "131m", "box", "true")
	h.patchbay("network", "create", "wire", "--plugin", "host-device", "--option", "device=spare")
	refused("runtime vm", "run", "--rm", "--runtime", "vm", "--network", "wire", "box", "true")
	if all := h.containers(); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}
}
