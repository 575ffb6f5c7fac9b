//go:build integration

package bridge

import (
	"os/exec"
	"strings"
	"testing"

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
