//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// A container on a user-mode network and a bridge: the outside and the neighbours
// of both are reached, the host gets nothing of the first, and the death of its
// plugin costs nothing of the second.
func TestUserModeBesideBridge(t *testing.T) {
	onEachRuntime(t, testUserModeBesideBridge)
}

func testUserModeBesideBridge(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	bare := h.trace()
	h.patchbay("network", "create", "user", "--plugin", "usermode")
	h.run(append([]string{"--name", "server", "--network", "user", "--network", "web", "box"}, echoCommand...)...)
	h.patchbay("run", "-d", "--name", "peer", "--network", "user", "box", "sleep", "1000")

	for address, from := range map[string]string{farIPv4: hostIPv4, farIPv6: hostIPv6} {
		v := listenVisitors(t, h.internet, netip.AddrPortFrom(netip.MustParseAddr(address), 80).String())
		h.patchbay("exec", "peer", "nc", "-w", "60", address, "80")
		if got := <-v.from; got.String() != from {
			t.Errorf("egress to %s: comes from %v, want the host's %s", address, got, from)
		}
		h.mustPing("peer", netip.MustParseAddr(address))
	}
	for _, prefix := range addressesOf(t, h.attachment("server", "user")) {
		h.mustPing("peer", prefix.Addr())
	}
	h.patchbay("exec", "peer", "ping", "-c", "1", "server") // by name
	h.cannotPing("peer", h.attachment("server", "web").IPv4Address.Addr())

	// The bridge's port of "server" is all that the host has got.
	if got := h.trace(); len(got) != len(bare)+1 {
		t.Errorf("the host has\n%s\nwant one port more than\n%s", strings.Join(got, "\n"), strings.Join(bare, "\n"))
	}
	if rules := h.command(h.ns, "nft", "list", "ruleset").stdout; strings.Contains(rules, h.network("user").ID) {
		t.Errorf("the packet filter has something of the network:\n%s", rules)
	}
	h.explains("peer", map[string]explained{
		"internet": {"eth0", "user", "usermode/nat", "default via ", "accepted, under the host's address", ""},
	})

	byBridge := openStream(t, h.ns, h.attachment("server", "web").IPv4Address.Addr())
	plugin := h.network("user").Status.PluginPID
	kill(t, plugin)
	byBridge.alive(t)
	eventually(t, settle, func() error {
		s := h.network("user").Status
		if s.State != resource.NetworkReady || s.PluginPID == plugin || len(s.Attachments) != 2 || s.AddressesInUse != 2 {
			return fmt.Errorf("network user: %+v", s)
		}
		return nil
	})
	eventually(t, settle, func() error { return h.ping("peer", netip.MustParseAddr(farIPv4), 3) })
	h.mustPing("peer", h.attachment("server", "user").IPv4Address.Addr())
	byBridge.alive(t)

	kill(t, h.container("server").Status.HelperPID)
	eventually(t, settle, func() error {
		if s := h.network("user").Status; s.AddressesInUse != 1 {
			return fmt.Errorf("network user: %+v", s)
		}
		if s := h.container("server").Status; s.State != resource.ContainerStopped {
			return fmt.Errorf("container server: %+v", s)
		}
		return nil
	})
	if h.dear() {
		return
	}
	h.patchbay("start", "server")
	h.mustPing("peer", h.attachment("server", "user").IPv4Address.Addr())
}

// trace lists the interfaces of the host.
func (h *host) trace() []string {
	h.t.Helper()
	var names []string
	for line := range strings.Lines(h.ip(h.ns, "-o link")) {
		names = append(names, strings.Fields(line)[1])
	}
	slices.Sort(names)
	return names
}
