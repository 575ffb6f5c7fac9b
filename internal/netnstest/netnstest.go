//go:build integration

// Package netnstest makes network namespaces for tests, so that neither the
// machine's own network nor another test's is ever touched. It needs root, and
// fails a test that lacks it.
package netnstest

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// New returns a fresh namespace with its loopback up, closed when the test ends.
func New(t testing.TB) *netns.Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make network namespaces")
	}
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	h := Link(t, ns)
	if err := h.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	return ns
}

// Link returns a link handle for ns, closed when the test ends.
func Link(t testing.TB, ns *netns.Namespace) *link.Handle {
	t.Helper()
	h, err := link.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// Do runs f inside ns and fails the test on its error.
func Do(t testing.TB, ns *netns.Namespace, f func() error) {
	t.Helper()
	if err := ns.Do(f); err != nil {
		t.Fatal(err)
	}
}

// Bridge makes a bridge with the addresses, given as "10.0.0.1/24".
func Bridge(t testing.TB, ns *netns.Namespace, name string, addresses ...string) {
	t.Helper()
	err := Link(t, ns).EnsureBridge(link.BridgeSpec{Name: name, Alias: "test", MTU: 1500, Addresses: prefixes(addresses)})
	if err != nil {
		t.Fatal(err)
	}
}

// End is one end of a pair made by Pair.
type End struct {
	Namespace *netns.Namespace
	Name      string
	Addresses []string
	Routes    []resource.Route
}

// Pair joins two namespaces by a veth pair.
func Pair(t testing.TB, a, b End) {
	t.Helper()
	h, err := netlink.NewHandleAt(vns.NsHandle(a.Namespace.FD()))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Name, PeerNamespace: netlink.NsFd(b.Namespace.FD())}
	if err := h.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	for _, end := range []End{a, b} {
		if err := Link(t, end.Namespace).Configure(end.Name, prefixes(end.Addresses), end.Routes); err != nil {
			t.Fatal(err)
		}
	}
}

// Default is the default route of the gateway's family.
func Default(gateway string) resource.Route {
	gw := netip.MustParseAddr(gateway)
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if gw.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return resource.Route{Destination: all, Gateway: gw}
}

// Listen serves TCP on a literal address inside ns until the test ends: it
// tells each client the address that it sees the client under.
func Listen(t testing.TB, ns *netns.Namespace, address string) {
	t.Helper()
	var l net.Listener
	Do(t, ns, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			_, _ = c.Write([]byte(host))
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// Dial connects from inside ns to a literal address that Listen serves and
// returns the source address that the other side saw.
func Dial(ns *netns.Namespace, address string, timeout time.Duration) (string, error) {
	var seen string
	err := ns.Do(func() error {
		c, err := net.DialTimeout("tcp", address, timeout)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		b := make([]byte, 64)
		n, err := c.Read(b)
		seen = string(b[:n])
		return err
	})
	return seen, err
}

func prefixes(texts []string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}
