//go:build integration

package firewall_test

import (
	"fmt"
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

// What a large network has fits into no single message of netlink, nor into what a socket
// may send at once: another process takes it over, puts it back after a flush, and takes it away.
func TestLargeNetworkIsTakenOver(t *testing.T) {
	t.Parallel()
	const ports, each = 300, 10
	ns := netnstest.New(t)
	before := network(ns, "one", firewall.NAT)
	must(t, before.Ensure())
	var live []firewall.Port
	for i := range ports {
		p := port(fmt.Sprint("live", i))
		own := netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})
		p.Addresses = []netip.Addr{own, netip.AddrFrom16([16]byte{0: 0xfd, 14: byte(i >> 8), 15: byte(i)})}
		live = append(live, p)
		must(t, before.Admit(p))
		var forwards []firewall.Forward
		for j := range each {
			number := uint16(20000 + i*each + j)
			forwards = append(forwards, firewall.Forward{Protocol: "tcp", Host: netip.AddrPortFrom(netip.IPv4Unspecified(), number), Target: netip.AddrPortFrom(own, 80)})
		}
		must(t, before.Publish(p.Interface, forwards))
	}
	all := ruleset(t, ns)

	after := network(ns, "one", firewall.NAT)
	must(t, after.EnsurePorts(live))
	if got := strings.Count(published(t, ns), " : 10.9."); got != ports*each {
		t.Errorf("%d ports are published, want %d", got, ports*each)
	}
	nft(t, ns, "flush", "ruleset")
	must(t, after.Ensure())
	if faults := after.Faults(); len(faults) > 0 {
		t.Errorf("after a flush: %v", faults)
	}
	if got := ruleset(t, ns); len(got) != len(all) {
		t.Errorf("%d bytes of rules and elements after a flush, want %d as before", len(got), len(all))
	}
	must(t, after.Remove())
	if got := nft(t, ns, "list", "ruleset"); got != "" {
		t.Errorf("left over:\n%.200s", got)
	}
}

// So does what one container publishes.
func TestManyPortsOfOneOwner(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	one, two := network(ns, "one", firewall.NAT), network(ns, "two", firewall.NAT)
	must(t, one.Ensure())
	must(t, two.Ensure())
	var forwards []firewall.Forward
	for i := range uint16(2000) {
		number := 20000 + i
		forwards = append(forwards, firewall.Forward{Protocol: "tcp", Host: netip.AddrPortFrom(netip.IPv4Unspecified(), number), Target: netip.AddrPortFrom(netip.MustParseAddr("10.9.0.2"), number)})
	}
	must(t, one.Publish("a", forwards))
	if got := strings.Count(published(t, ns), "10.9.0.2"); got != len(forwards) {
		t.Errorf("%d ports are published, want %d", got, len(forwards))
	}
	must(t, two.Publish("b", []firewall.Forward{forward("tcp", "0.0.0.0:20001", "10.8.0.2:8080")}))
	must(t, one.Unpublish("a"))
	if got := published(t, ns); !strings.Contains(got, "10.8.0.2 . 8080") || strings.Contains(got, "10.9.0.2") {
		t.Errorf("want nothing but port 20001 of network two, got\n%.400s", got)
	}
}

// A process that takes over keeps all that is published, though others publish meanwhile: a
// list of the kernel's that comes in parts lacks some of it then.
func TestTakeOverAmongChanges(t *testing.T) {
	t.Parallel()
	const many = 1500
	ns := netnstest.New(t)
	before, other := network(ns, "one", firewall.NAT), network(ns, "two", firewall.NAT)
	must(t, before.Ensure())
	must(t, other.Ensure())
	must(t, before.Admit(port("0")))
	var all []firewall.Forward
	for i := range many {
		all = append(all, forward("tcp", fmt.Sprintf("0.0.0.0:%d", 20000+i), "10.9.0.2:80"))
	}
	must(t, before.Publish(port("0").Interface, all))

	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := other.Publish("b", []firewall.Forward{forward("tcp", fmt.Sprintf("0.0.0.0:%d", 1000+i%many), "10.8.0.2:80")}); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 3 {
		must(t, network(ns, "one", firewall.NAT).EnsurePorts([]firewall.Port{port("0")}))
	}
	close(stop)
	must(t, <-stopped)
	if got := strings.Count(published(t, ns), "10.9.0.2 . 80"); got != many {
		t.Errorf("%d ports are published, want %d", got, many)
	}
}
