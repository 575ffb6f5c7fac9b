//go:build integration

package firewall_test

import (
	"net/netip"
	"strings"
	"testing"

	"patchbay.dev/patchbay/internal/firewall"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
)

func forward(protocol, host, target string) firewall.Forward {
	return firewall.Forward{Protocol: protocol, Host: netip.MustParseAddrPort(host), Target: netip.MustParseAddrPort(target)}
}

// published is what leads to a target, by the lines of the maps.
func published(t *testing.T, ns *netns.Namespace) string {
	t.Helper()
	var all string
	for _, name := range []string{"published4", "published6", "published-at4", "published-at6"} {
		all += nft(t, ns, "list", "map", "inet", "patchbay", name)
	}
	return all
}

// A host port changes hands between networks, whose processes know nothing of
// one another: who has it last keeps it, whatever the other one does later.
func TestPublishedPortChangesHands(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	one, two := network(ns, "one", firewall.NAT), network(ns, "two", firewall.NAT)
	must(t, one.Ensure())
	must(t, two.Ensure())
	must(t, one.Publish("a", []firewall.Forward{
		forward("tcp", "0.0.0.0:80", "10.9.0.2:8080"), forward("tcp", "[::]:80", "[fd09::2]:8080"), forward("udp", "0.0.0.0:80", "10.9.0.2:53"),
	}))
	must(t, two.Publish("b", []firewall.Forward{forward("tcp", "0.0.0.0:80", "10.8.0.2:8080")}))
	must(t, one.Ensure()) // a repair takes nothing back
	if got := published(t, ns); !strings.Contains(got, "10.8.0.2 . 8080") || strings.Contains(got, "10.9.0.2 . 8080") {
		t.Errorf("want tcp port 80 to be of network two, got\n%s", got)
	}
	must(t, one.Unpublish("a"))
	if got := published(t, ns); !strings.Contains(got, "10.8.0.2 . 8080") || strings.Contains(got, "10.9.0.2") || strings.Contains(got, "fd09::2") {
		t.Errorf("want nothing but tcp port 80 of network two, got\n%s", got)
	}
	if faults := two.Faults(); len(faults) > 0 {
		t.Errorf("network two: got faults %v", faults)
	}
	must(t, one.Remove())
	must(t, two.Unpublish("b"))
	if got := published(t, ns); strings.Contains(got, "10.8.0.2") {
		t.Errorf("want nothing published, got\n%s", got)
	}
}

// A process that takes over keeps what is published for ports that live, and
// nothing else.
func TestPublishedPortsAreTakenOver(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	before := network(ns, "one", firewall.NAT)
	live, dead := port("live"), port("dead")
	dead.Addresses = []netip.Addr{netip.MustParseAddr("10.9.0.3")}
	must(t, before.EnsurePorts([]firewall.Port{live, dead}))
	must(t, before.Publish(live.Interface, []firewall.Forward{forward("tcp", "0.0.0.0:80", "10.9.0.2:8080"), forward("udp", "[2001:db8::1]:80", "[fd09::2]:53")}))
	must(t, before.Publish(dead.Interface, []firewall.Forward{forward("tcp", "0.0.0.0:81", "10.9.0.3:8080")}))

	after := network(ns, "one", firewall.NAT)
	must(t, after.EnsurePorts([]firewall.Port{live}))
	if got := published(t, ns); !strings.Contains(got, "10.9.0.2 . 8080") || !strings.Contains(got, "fd09::2 . 53") || strings.Contains(got, "10.9.0.3") {
		t.Errorf("want what is published for the live port alone, got\n%s", got)
	}
	nft(t, ns, "flush", "ruleset")
	must(t, after.Ensure())
	if got := published(t, ns); !strings.Contains(got, "10.9.0.2 . 8080") {
		t.Errorf("want it back after a flush, got\n%s", got)
	}
	must(t, after.Unpublish(live.Interface))
	if got := published(t, ns); strings.Contains(got, "10.9.0.2") || strings.Contains(got, "fd09::2") {
		t.Errorf("want nothing published, got\n%s", got)
	}
}
