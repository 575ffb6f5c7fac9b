//go:build integration

package link_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/routing"
	"patchbay.dev/patchbay/internal/link/sysctl"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// An interface that is born in a prepared namespace has the settings of one that is given them,
// also those that it gets where there are several, and what is no longer the kernel's default stays.
// It announces nothing, unless neighbours may know its addresses with another MAC address.
func TestBornInterfacesHaveTheirSettings(t *testing.T) {
	t.Parallel()
	t.Run("familiar", func(t *testing.T) { testBorn(t, true, "0") })
	t.Run("strange", func(t *testing.T) { testBorn(t, false, "1") })
}

func testBorn(t *testing.T, familiar bool, announces string) {
	t.Parallel()
	host, sandbox := netnstest.New(t), netnstest.New(t)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24")
	h, within := netnstest.Link(t, host), netnstest.Link(t, sandbox)
	setting := func(key string) string {
		var b []byte
		netnstest.Do(t, sandbox, func() (err error) {
			b, err = os.ReadFile(filepath.Join("/proc/sys/net", key))
			return err
		})
		return strings.TrimSpace(string(b))
	}
	if err := within.Inside(sysctl.PrepareNamespace); err != nil {
		t.Fatal(err)
	}
	netnstest.Do(t, sandbox, func() error { return sysctl.Set("ipv4/conf/default/arp_announce", "1") })
	if err := h.AddBridgePort("br0", "p0", link.Peer{Namespace: sandbox, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	address := netip.MustParsePrefix("10.9.0.2/24")
	own := []resource.Route{{Destination: address.Masked()}}
	err := within.Rewire(
		[]link.Configuration{{Interface: "eth0", Addresses: []netip.Prefix{address}, Born: true, Familiar: familiar}},
		[]routing.Change{{Interface: "eth0", To: routing.Routing{Addresses: []netip.Prefix{address}, Own: own}}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"ipv4/conf/eth0/arp_notify": announces, "ipv6/conf/eth0/ndisc_notify": announces, "ipv6/conf/eth0/accept_ra": "0", "ipv6/conf/eth0/disable_ipv6": "0",
		"ipv4/conf/eth0/arp_ignore": "1", "ipv4/conf/eth0/arp_announce": "1",
	} {
		if got := setting(key); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
}

// A pair has one queue of each direction at both ends: for each that it has more the kernel waits.
func TestPortsHaveOneQueue(t *testing.T) {
	t.Parallel()
	host, sandbox := netnstest.New(t), netnstest.New(t)
	netnstest.Bridge(t, host, "br0", "10.9.0.1/24")
	if err := netnstest.Link(t, host).AddBridgePort("br0", "p0", link.Peer{Namespace: sandbox, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]*netns.Namespace{"p0": host, "eth0": sandbox} {
		inside, err := netlink.NewHandleAt(vns.NsHandle(at.FD()))
		if err != nil {
			t.Fatal(err)
		}
		l, err := inside.LinkByName(name)
		inside.Close()
		if err != nil {
			t.Fatal(err)
		}
		if l.Attrs().NumTxQueues != 1 || l.Attrs().NumRxQueues != 1 {
			t.Errorf("%s: %d queues to send and %d to receive, want 1 and 1", name, l.Attrs().NumTxQueues, l.Attrs().NumRxQueues)
		}
	}
}
