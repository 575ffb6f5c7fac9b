//go:build integration

package integration

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// A machine without PCI does what others do, with what it began with.
func TestMicroVM(t *testing.T) {
	t.Parallel()
	h := newHost(t).shareMachines()
	h.write("config.toml", []byte("[vm]\nmachine = \"microvm\"\naccelerator = \"tcg\"\n"), 0o644)
	h.up()
	h.refuseDeadKernel()
	h.upKernel()
	h.write("shared/file", []byte("of the host\n"), 0o644)
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	h.patchbay("run", "-d", "--name", "near", "--network", "web", "--network", "user", "box", "sleep", "1000")
	h.patchbay("run", "-d", "--runtime", "vm", "--name", "vm", "--network", "web,rate-in=700mbit,ifname=eth1", "--network", "user,ifname=eth0", "-p", "7000",
		"-v", filepath.Join(h.dir, "shared")+":/srv", "box", "sleep", "1000")

	m := h.container("vm").Status.Machine
	if m == nil || m.Type != resource.MachineMicroVM || m.Template || m.Accelerator != resource.AcceleratorTCG {
		t.Errorf("machine %+v", m)
	}
	if got := h.patchbay("exec", "vm", "sh", "-c", "ls /sys/bus/pci/devices /sys/class/net; cat /srv/file; echo of the guest >/srv/made"); got != "/sys/class/net:\neth0\neth1\nlo\nof the host" &&
		got != "/sys/bus/pci/devices:\n\n/sys/class/net:\neth0\neth1\nlo\nof the host" {
		t.Errorf("in the guest: %q", got)
	}
	if got := read(t, filepath.Join(h.dir, "shared/made")); got != "of the guest\n" {
		t.Errorf("on the host: %q", got)
	}
	for _, network := range []string{"web", "user"} {
		for _, prefix := range addressesOf(t, h.attachment("vm", network)) {
			h.mustPing("near", prefix.Addr())
		}
		h.patchbay("exec", "vm", "ping", "-c", "1", "-W", "60", "near."+network)
	}
	h.patchbay(append([]string{"exec", "-d", "vm"}, echoCommand...)...)
	_, port, _ := net.SplitHostPort(strings.Split(h.patchbay("port", "vm", "7000"), "\n")[0])
	openStreamTo(t, h.internet, net.JoinHostPort(hostIPv4, port)).alive(t)
	openStreamTo(t, h.ns, net.JoinHostPort("127.0.0.1", port)).alive(t)

	// What it cannot do is one line, and nothing has changed.
	h.patchbay("network", "create", "more")
	for _, args := range [][]string{{"network", "connect", "more", "vm"}, {"network", "disconnect", "user", "vm"}} {
		r := h.try(args...)
		if r.code == 0 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, `microvm takes and gives no interfaces while it runs: stop the container for that, or set vm.machine = "q35"`) {
			t.Errorf("%v: %s", args, r)
		}
	}
	for _, prefix := range addressesOf(t, h.attachment("vm", "user")) {
		h.mustPing("near", prefix.Addr())
	}

	h.patchbay("exec", "vm", "sh", "-c", "echo kept >/kept")
	h.patchbay("stop", "-t", "0", "vm")
	h.patchbay("network", "connect", "more", "vm") // while it does not run
	if got := h.patchbay("cp", "vm:/kept", "-"); !strings.Contains(got, "kept\n") {
		t.Errorf("copied out of one that is stopped: %q", got)
	}
}

// refuseDeadKernel starts a container with what looks like a kernel and ends at once.
func (h *host) refuseDeadKernel() {
	h.t.Helper()
	images, err := filepath.Glob("../../dist/kernel/boot/vmlinuz-*")
	modules, err2 := filepath.Glob("../../dist/kernel/lib/modules/*")
	if err := errors.Join(err, err2); err != nil || len(images) != 1 || len(modules) != 1 {
		h.t.Fatalf("kernels %v, modules %v, %v: run \"make deps\" first", images, modules, err)
	}
	image, err := os.ReadFile(images[0])
	if err != nil {
		h.t.Fatal(err)
	}
	clear(image[40<<10:]) // after the header and the code that only a BIOS runs
	tree, err := filepath.Abs(modules[0])
	if err != nil {
		h.t.Fatal(err)
	}
	h.patchbay("system", "kernel", "set", "--modules", tree, h.write("dead", image, 0o644))
	r := h.try("run", "--rm", "--runtime", "vm", "--network", "none", "box", "true")
	if r.code == 0 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "the guest has ended before its agent answered; the machine went down (guest-reset)") {
		h.t.Errorf("a kernel that ends at once: %s", r)
	}
}
