//go:build integration

package bridge

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
)

// neighbours are those that a namespace knows, as ip(8) lists them.
func neighbours(t *testing.T, ns *netns.Namespace) string {
	t.Helper()
	var out []byte
	netnstest.Do(t, ns, func() (err error) {
		out, err = exec.Command("ip", "neighbour", "show").Output()
		return err
	})
	return string(out)
}

// The next owner of an address is not looked for where the last one was, though nobody has
// waited until the host forgot that one.
func TestHostForgetsTheLastOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	reaches(t, w.host, a.v4, a.v6)
	mac := string(a.port.Attachment.MACAddress)
	if known := neighbours(t, w.host); strings.Count(known, mac) < 2 {
		t.Fatalf("the host does not know %s by both addresses:\n%s", mac, known)
	}
	if err := netnstest.Link(t, w.host).Delete(s.portName("a/0")); err != nil { // as its sandbox does
		t.Fatal(err)
	}
	if err := s.Expel(t.Context(), a.port); err != nil {
		t.Fatal(err)
	}
	next := a.port
	next.Key, next.Owner, next.Attachment.MACAddress = "b/0", "b/0", "02:00:00:00:00:0b"
	if err := s.Admit(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(neighbours(t, w.host)) {
		if strings.Contains(line, mac) && (strings.HasPrefix(line, a.v4+" ") || strings.HasPrefix(line, a.v6+" ")) {
			t.Errorf("the host still knows %s", strings.TrimSpace(line))
		}
	}
	again := netnstest.New(t)
	s.connect(t, again, next, "eth0")
	reaches(t, w.host, a.v4, a.v6)
}

// TestGatewayIsNoRouterOfItsLink: a bridge says of itself that it is no router, also to containers that
// have heard that it is one; they reach through it what they did, and it and they one another, by
// link-local addresses too.
func TestGatewayIsNoRouterOfItsLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")
	s := start(t, w, c)
	router := func(on string) {
		t.Helper()
		netnstest.Do(t, w.host, func() error { return sysctl.Set("ipv6/conf/"+s.bridge+"/forwarding", on) })
	}
	router("1")
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	reaches(t, a.Namespace, "2001:db8::9")
	gateway := func() string {
		t.Helper()
		var out []byte
		netnstest.Do(t, a.Namespace, func() (err error) {
			out, err = exec.Command("ip", "-6", "neighbour", "show", "to", "fd09::1", "dev", "eth0").CombinedOutput()
			return err
		})
		return string(out)
	}
	if g := gateway(); !strings.Contains(g, "router") {
		t.Fatalf("gateway %q, want a router: the test proves nothing", g)
	}
	if _, err := s.Start(t.Context(), c); err != nil { // repairs
		t.Fatal(err)
	}
	netnstest.Do(t, a.Namespace, func() error { // ask it again
		return exec.Command("ip", "-6", "neighbour", "change", "fd09::1", "dev", "eth0", "nud", "probe").Run()
	})
	for deadline := time.Now().Add(soon); strings.Contains(gateway(), "router"); {
		if time.Now().After(deadline) {
			t.Fatalf("gateway %q, want none that says it is a router", gateway())
		}
		reaches(t, a.Namespace, "fd09::1")
	}
	reaches(t, a.Namespace, "fd09::1", "2001:db8::9")
	reaches(t, w.host, a.v6)
	netnstest.Listen(t, a.Namespace, "[::]:80")
	addresses, err := netnstest.Link(t, a.Namespace).Addresses()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, address := range addresses {
		if address.Interface != "eth0" || !address.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		tried++
		if _, err := netnstest.Dial(w.host, fmt.Sprintf("[%s%%%s]:80", address.Prefix.Addr(), s.bridge), soon); err != nil {
			t.Errorf("from the host by link-local addresses: %v", err)
		}
	}
	if tried != 1 {
		t.Errorf("%d link-local addresses in %v, want one", tried, addresses)
	}
}
