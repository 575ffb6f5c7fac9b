//go:build integration

package bridge

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/netnstest/hostile"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

// filterBridged says whether frames inside of bridges go through the packet filter of IP,
// and reports whether the kernel can do so.
func filterBridged(t *testing.T, host *netns.Namespace, on string) bool {
	t.Helper()
	possible := false
	netnstest.Do(t, host, func() error {
		for _, family := range []string{"iptables", "ip6tables"} {
			file := "/proc/sys/net/bridge/bridge-nf-call-" + family
			if _, err := os.Stat(file); err != nil {
				continue
			}
			possible = true
			if err := os.WriteFile(file, []byte(on), 0); err != nil {
				return err
			}
		}
		return nil
	})
	return possible
}

// onBothFilters runs a test without and with br_netfilter.
func onBothFilters(t *testing.T, run func(t *testing.T, w world)) {
	for name, on := range map[string]string{"routed": "0", "bridged too": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if !filterBridged(t, w.host, on) && on == "1" {
				t.Skip("the kernel has no br_netfilter")
			}
			run(t, w)
		})
	}
}

func tcp(host netip.Addr, hostPort, containerPort uint16) resource.PublishedPort {
	return resource.PublishedPort{Protocol: resource.ProtocolTCP, HostAddress: host, HostPort: hostPort, ContainerPort: containerPort}
}

func (s *served) publish(t *testing.T, p networkplugin.Port, ports ...resource.PublishedPort) {
	t.Helper()
	if _, err := s.Publish(t.Context(), p, ports); err != nil {
		t.Fatal(err)
	}
}

// What the host sends to a loopback address gets to the container, which sees the
// gateway as its client; nobody else reaches a port that is published there alone.
func TestPublishedOnLoopback(t *testing.T) {
	t.Parallel()
	onBothFilters(t, func(t *testing.T, w world) {
		s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
		a, b := s.plug(t, netnstest.New(t), "a/0", "eth0"), s.plug(t, netnstest.New(t), "b/0", "eth0")
		s.quick(t, "a/0", "b/0")
		netnstest.Listen(t, a.Namespace, a.v4+":80")
		if faults := s.Check(t.Context()); len(faults) != 0 {
			t.Errorf("faults before: %q", faults)
		}
		all := tcp(netip.Addr{}, 8080, 80)
		s.publish(t, a.port, all, tcp(netip.MustParseAddr("127.0.0.1"), 8081, 80))
		reached := func(state string, addresses ...string) {
			t.Helper()
			for _, address := range addresses {
				if seen, err := netnstest.Dial(w.host, address, soon); err != nil || seen != "10.9.0.1" {
					t.Errorf("%s: by %s the container sees %q, error %v; want its gateway", state, address, seen, err)
				}
			}
		}
		reached("at first", "127.0.0.1:8080", "127.0.0.1:8081", "127.1.2.3:8080")
		for _, from := range []*netns.Namespace{w.outside, b.Namespace} {
			if seen, err := netnstest.Dial(from, "192.0.2.1:8081", none); err == nil {
				t.Errorf("a port of 127.0.0.1 alone is reached at another address: %q", seen)
			}
		}
		if seen, err := netnstest.Dial(w.outside, "192.0.2.1:8080", soon); err != nil || seen != "192.0.2.9" {
			t.Errorf("from outside the container sees %q, error %v", seen, err)
		}
		if seen, err := netnstest.Dial(b.Namespace, "192.0.2.1:8080", soon); err != nil || seen != "10.9.0.1" {
			t.Errorf("from a neighbour the container sees %q, error %v; want its gateway", seen, err)
		}
		if seen, err := netnstest.Dial(w.host, "127.0.0.2:8081", none); err == nil {
			t.Errorf("a port of 127.0.0.1 is reached at 127.0.0.2: %q", seen)
		}

		// What somebody takes away is told, and put back.
		netnstest.Do(t, w.host, func() error {
			return os.WriteFile("/proc/sys/net/ipv4/conf/"+s.bridge+"/route_localnet", []byte("0"), 0)
		})
		tc(t, w.host, "qdisc", "del", "dev", s.bridge, "clsact")
		if faults := strings.Join(s.Check(t.Context()), "\n"); !strings.Contains(faults, "route_localnet") || !strings.Contains(faults, "loopback addresses out") {
			t.Errorf("faults: %q", faults)
		}
		if _, err := s.Start(t.Context(), configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")); err != nil {
			t.Fatal(err)
		}
		if faults := s.Check(t.Context()); len(faults) != 0 {
			t.Errorf("faults after the repair: %q", faults)
		}
		reached("after a repair", "127.0.0.1:8080")

		s.publish(t, a.port, all)
		if _, err := netnstest.Dial(w.host, "127.0.0.1:8081", none); err == nil {
			t.Error("a port is reached that is no longer published")
		}
		reached("still published", "127.0.0.1:8080")
	})
}

func tc(t *testing.T, ns *netns.Namespace, args ...string) { run(t, ns, "tc", args) }
func ip(t *testing.T, ns *netns.Namespace, args ...string) { run(t, ns, "ip", args) }

func run(t *testing.T, ns *netns.Namespace, program string, args []string) {
	t.Helper()
	netnstest.Do(t, ns, func() error {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w: %s", program, args, err, out)
		}
		return nil
	})
}

// Datagrams too, and a socket that has one client keeps it.
func TestPublishedDatagramsOnLoopback(t *testing.T) {
	t.Parallel()
	onBothFilters(t, func(t *testing.T, w world) {
		s := start(t, w, configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64"))
		a := s.plug(t, netnstest.New(t), "a/0", "eth0")
		s.plug(t, netnstest.New(t), "b/0", "eth0")
		s.quick(t, "a/0")
		var server, client net.PacketConn
		netnstest.Do(t, a.Namespace, func() (err error) { server, err = net.ListenPacket("udp4", ":53"); return err })
		defer server.Close()
		s.publish(t, a.port, resource.PublishedPort{Protocol: resource.ProtocolUDP, HostPort: 5300, ContainerPort: 53})
		netnstest.Do(t, w.host, func() (err error) { client, err = net.ListenPacket("udp4", "127.0.0.1:0"); return err })
		defer client.Close()
		for _, text := range []string{"one", "two"} {
			if _, err := client.WriteTo([]byte(text), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5300}); err != nil {
				t.Fatal(err)
			}
			buffer := make([]byte, 16)
			_ = server.SetDeadline(time.Now().Add(soon))
			n, from, err := server.ReadFrom(buffer)
			if err != nil || string(buffer[:n]) != text {
				t.Fatalf("the container gets %q, %v", buffer[:n], err)
			}
			if _, err := server.WriteTo(buffer[:n], from); err != nil {
				t.Fatal(err)
			}
			_ = client.SetDeadline(time.Now().Add(soon))
			if n, from, err = client.ReadFrom(buffer); err != nil || string(buffer[:n]) != text || from.String() != "127.0.0.1:5300" {
				t.Fatalf("the client gets %q from %v, %v", buffer[:n], from, err)
			}
		}
	})
}

// A container that makes its frames by itself reaches nothing at a loopback address of
// the host, and nothing under one as its own; also while the packet filter is empty, and
// by the packet filter alone. Without both it would.
func TestHostileLoopback(t *testing.T) {
	t.Parallel()
	onBothFilters(t, func(t *testing.T, w world) {
		c := configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")
		c.Options = map[string]string{optionHostAccess: "all"}
		s := start(t, w, c)
		a := s.party(t, "a/0")
		s.party(t, "b/0")
		s.quick(t, "a/0")
		s.publish(t, a.port, tcp(netip.Addr{}, 8080, 80))
		s.mu.Lock()
		s.unwatch() // it would put the packet filter back
		s.mu.Unlock()
		const service = 9000
		var heard net.PacketConn
		netnstest.Do(t, w.host, func() (err error) {
			heard, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", service))
			return err
		})
		defer heard.Close()
		bridge := s.mac().HardwareAddr()
		frame := func(source, target, text string) []byte {
			from, to := hostile.Address(source), hostile.Address(target)
			return hostile.Ethernet(bridge, a.MAC, 0x0800, hostile.IPv4(from, to, hostile.ProtocolUDP, 0, hostile.UDP(from, to, 9, service, text)))
		}
		attacks := map[string][]byte{
			"to loopback":          frame(a.v4, "127.0.0.1", "to loopback"),
			"to all of loopback":   frame(a.v4, "127.9.9.9", "to all of loopback"),
			"from loopback":        frame("127.0.0.2", "10.9.0.1", "from loopback"),
			"from and to loopback": frame("127.0.0.2", "127.0.0.1", "from and to loopback"),
		}
		marks := 0
		// arrived are the attacks that get through: frames keep their order.
		arrived := func() (got []string) {
			t.Helper()
			marks++
			mark := fmt.Sprintf("mark %d", marks)
			for _, f := range append(sortedValues(attacks), frame(a.v4, "10.9.0.1", mark)) {
				if err := a.wire.Send(f); err != nil {
					t.Fatal(err)
				}
			}
			buffer := make([]byte, 64)
			for {
				_ = heard.SetReadDeadline(time.Now().Add(soon))
				n, _, err := heard.ReadFrom(buffer)
				if err != nil {
					t.Fatalf("an honest datagram does not arrive: %v", err)
				}
				if string(buffer[:n]) == mark {
					return got
				}
				got = append(got, string(buffer[:n]))
			}
		}
		refused := func(state string) {
			t.Helper()
			if got := arrived(); len(got) > 0 {
				t.Errorf("%s: what arrives: %q", state, got)
			}
		}
		refused("both guards")
		nft(t, w.host, "flush", "ruleset")
		refused("the packet filter is empty")
		if err := s.filter.Ensure(); err != nil {
			t.Fatal(err)
		}
		tc(t, w.host, "qdisc", "del", "dev", s.bridge, "clsact")
		refused("the bridge has no guard")
		nft(t, w.host, "delete", "table", "bridge", "patchbay")
		refused("the bridge has no guard, and senders are not checked")
		nft(t, w.host, "flush", "ruleset")
		if got := arrived(); len(got) != len(attacks) {
			t.Errorf("without any guard: got %q; the test proves nothing", got)
		}
	})
}

func sortedValues(m map[string][]byte) (all [][]byte) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		all = append(all, m[k])
	}
	return all
}
