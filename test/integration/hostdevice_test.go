//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// lendable gives the host the interface "spare" with an address, whose other
// end is on the internet.
func (h *host) lendable() *host {
	h.t.Helper()
	h.ip(h.ns, "link add spare type veth peer name beyond netns "+fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.internet.FD()))
	for _, line := range []string{"link set spare addrgenmode none", "link set spare up", "addr add 10.78.0.1/24 dev spare"} {
		h.ip(h.ns, line)
	}
	for _, line := range []string{"link set beyond addrgenmode none", "link set beyond up", "addr add 10.78.0.200/24 dev beyond"} {
		h.ip(h.internet, line)
	}
	h.before = h.snapshot()
	return h
}

// spare is what the host has of the interface, empty for none.
func (h *host) spare() string {
	r := h.command(h.ns, "ip", "-o", "-d", "addr", "show", "dev", "spare")
	lines := strings.Fields(r.stdout)
	if len(lines) > 0 {
		lines = lines[1:] // the index of another namespace may have been taken here
	}
	link := strings.Fields(h.command(h.ns, "ip", "-o", "link", "show", "dev", "spare").stdout)
	if len(link) > 0 {
		link = link[1:]
	}
	return strings.ReplaceAll(strings.Join(append(lines, link...), " "), " brd 10.78.0.255", "")
}

func (h *host) hasSpareAgain(want string) {
	h.t.Helper()
	eventually(h.t, settle, func() error {
		if got := h.spare(); got != want {
			return fmt.Errorf("interface spare:\n got %q\nwant %q", got, want)
		}
		return nil
	})
}

// An interface of the host is in the container beside that of a bridge, and
// back as it was after the container's end, whatever ended it.
func TestHostDeviceComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t).lendable().up()
	far := netip.MustParseAddr("10.78.0.200")
	before := h.spare()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "wire", "--plugin", "host-device", "--option", "device=spare", "--subnet", "10.78.0.0/24")
	begin := func() resource.ContainerStatus {
		h.patchbay("run", "-d", "--name", "one", "--network", "web", "--network", "wire,ip=10.78.0.7", "box", "sleep", "1000")
		h.mustPing("one", far)
		if got := h.spare(); got != "" {
			t.Errorf("the host still has %q", got)
		}
		return h.container("one").Status
	}

	begin()
	inside := strings.TrimSpace(h.patchbay("exec", "one", "cat", "/sys/class/net/eth1/address"))
	if !strings.Contains(before, inside) || string(h.attachment("one", "wire").MACAddress) != inside {
		t.Errorf("mac address: got %s inside, %s in inspect, want that of %q", inside, h.attachment("one", "wire").MACAddress, before)
	}
	if r := h.try("run", "--name", "two", "--network", "wire", "box", "true"); r.code != 125 || !strings.Contains(r.stderr, "container one has it") {
		t.Errorf("second container: want it refused with the owner's name: %s", r)
	}
	h.mustPing("one", far)
	h.patchbay("stop", "--timeout", "0", "one")
	h.hasSpareAgain(before)
	h.patchbay("delete", "one")

	status := begin()
	kill(t, status.PID)
	h.hasSpareAgain(before)
	h.patchbay("delete", "--force", "one")

	status = begin()
	kill(t, status.HelperPID)
	h.hasSpareAgain(before)
	h.patchbay("delete", "--force", "one")

	begin()
	plugin := h.network("wire").Status.PluginPID
	kill(t, plugin)
	eventually(t, settle, func() error {
		s := h.network("wire").Status
		if s.State != resource.NetworkReady || s.PluginPID == plugin || len(s.Attachments) != 1 || s.Attachments[0].LeaseState != resource.LeaseHeld {
			return fmt.Errorf("network wire: %+v", s)
		}
		return nil
	})
	h.mustPing("one", far)
	h.patchbay("delete", "--force", "one")
	h.hasSpareAgain(before)
}

// A start that fails after the interface was moved gives it back too.
func TestHostDeviceComesBackAfterFailedStart(t *testing.T) {
	t.Parallel()
	h := newHost(t).lendable().up()
	before := h.spare()
	h.patchbay("network", "create", "wire", "--plugin", "host-device", "--option", "device=spare")
	if r := h.try("run", "--name", "one", "--network", "wire", "box", "no-such-program"); r.code == 0 {
		t.Errorf("want a failure: %s", r)
	}
	h.hasSpareAgain(before)
	// Without a subnet it has no address, and is up.
	h.patchbay("run", "-d", "--name", "two", "--network", "wire,ifname=port0", "box", "sleep", "1000")
	if got := h.patchbay("exec", "two", "ip", "-o", "addr", "show", "dev", "port0"); strings.Contains(got, "inet ") {
		t.Errorf("got %q, want no IPv4 address", got)
	}
	h.patchbay("system", "stop", "-t", "0")
	h.hasSpareAgain(before)
}
