//go:build integration

package link_test

import (
	"net/netip"
	"testing"

	"patchbay.dev/patchbay/internal/hostnews"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/rtnl"
	"patchbay.dev/patchbay/internal/netnstest"
)

// With many networks, whatever happens to one of them would wake the processes of
// all.
func TestOthersAddressesWakeNobody(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	h := netnstest.Link(t, host)
	netnstest.Bridge(t, host, "other")
	configure := func(addresses ...string) {
		t.Helper()
		var all []netip.Prefix
		for _, a := range addresses {
			all = append(all, netip.MustParsePrefix(a))
		}
		if err := h.Configure("other", all, nil); err != nil {
			t.Fatal(err)
		}
	}
	subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09:0:0:9::/64"), {}}
	quiet, err := rtnl.WatchPrefixes(host, hostnews.Place{}, subnets)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Source.Close()
	inner := netnstest.New(t)
	if err := h.AddBridgePort("other", "port", link.Peer{Namespace: inner, Name: "eth0"}); err != nil {
		t.Fatal(err)
	}
	configure("10.9.1.1/24", "10.8.0.1/24", "fd09:0:0:8::1/64", "fd0a::1/32")
	if netnstest.Pending(quiet.Source) {
		t.Error("is woken by a port, and by addresses in no subnet of its own")
	}
	for _, address := range []string{"10.9.0.77/32", "10.9.0.1/24", "10.1.1.1/8", "fd09:0:0:9::1/64", "fd09:0:0:9:7::/128", "fd09::1/48"} {
		news, err := rtnl.WatchPrefixes(host, hostnews.Place{}, subnets)
		if err != nil {
			t.Fatal(err)
		}
		configure(address)
		if !netnstest.Pending(news.Source) {
			t.Errorf("address %s: nothing is told of it, though it is in a subnet or around it", address)
		}
		news.Source.Close()
	}
}
