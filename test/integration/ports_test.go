//go:build integration

package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
)

// The addresses of the host's neighbour on the uplink.
const (
	neighbourIPv4 = "192.0.2.1"
	neighbourIPv6 = "2001:db8::1"
)

// caller is who connects to a published port, and as whom the container is to
// see him.
type caller struct {
	ns   *netns.Namespace
	to   string
	seen string // "": anybody
}

// call connects and wants to be welcomed as seen.
func (c caller) call(t *testing.T, v *visitors) {
	t.Helper()
	if err := c.dial(settle); err != nil {
		t.Errorf("call of %s: %v", c.to, err)
		return
	}
	v.wantOne(t, c.to, c.seen)
}

// wantOne wants that a call has come here, from somebody; "": from anybody.
func (v *visitors) wantOne(t *testing.T, to, seen string) {
	t.Helper()
	select {
	case from := <-v.from:
		if seen != "" && from.String() != seen {
			t.Errorf("call of %s: seen as %v, want %s", to, from, seen)
		}
	case <-time.After(settle):
		t.Errorf("call of %s: was answered by somebody else", to)
	}
}

// dial calls, and has to be connected within a limit.
func (c caller) dial(within time.Duration) error {
	return c.ns.Do(func() error {
		conn, err := net.DialTimeout("tcp", c.to, within)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(settle))
		said, err := io.ReadAll(conn)
		if err == nil && string(said) != welcome {
			err = fmt.Errorf("got %q", said)
		}
		return err
	})
}

// cannotCall wants nobody to be there.
func (h *host) cannotCall(ns *netns.Namespace, to string) {
	h.t.Helper()
	if (caller{ns: ns, to: to}).dial(time.Second) == nil {
		h.t.Errorf("call of %s: was answered, want nobody there", to)
	}
}

// On a nat network, all forms of --publish: what comes from outside, from the
// host and from containers reaches the container, which sees who it is; through
// the deaths of patchbayd and plugin, and a flush of the packet filter.
func TestPublishedPorts(t *testing.T) {
	onEachRuntime(t, testPublishedPorts)
}

func testPublishedPorts(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "other")
	h.runAsleep("--name", "web", "--network", "web",
		"-p", "8080:80", "-p", hostIPv4+":8081:81", "-p", "127.0.0.1:8082:82", "-p", "85", "-p", "8083-8085:86", "-p", "8090-8091:90-91")
	for _, neighbour := range []string{"web", "other"} {
		h.patchbay("run", "-d", "--name", "on-"+neighbour, "--network", neighbour, "box", "sleep", "1000")
	}
	random := strings.Split(h.patchbay("port", "web", "85"), "\n")
	if len(random) != 2 || strings.TrimPrefix(random[0], "0.0.0.0") != strings.TrimPrefix(random[1], "[::]") {
		t.Fatalf("patchbay port web 85: got %q, want one port of both families", random)
	}
	chosen := strings.TrimPrefix(random[0], "0.0.0.0:")
	if got, want := h.patchbay("port", "web", "91/tcp"), "0.0.0.0:8091\n[::]:8091"; got != want {
		t.Errorf("patchbay port web 91/tcp: got %q, want %q", got, want)
	}
	if got := h.patchbay("list"); !strings.Contains(got, "8080->80/tcp,"+hostIPv4+":8081->81/tcp") {
		t.Errorf("list does not show the ports:\n%s", got)
	}

	web, gateway := h.probe(t, "web"), h.attachment("web", "web").IPv4Gateway.String()
	serve := func(port string) *visitors { return web.callers(":" + port) }
	outside := []caller{{h.internet, hostIPv4 + ":8080", neighbourIPv4}, {h.internet, "[" + hostIPv6 + "]:8080", neighbourIPv6}}
	v := serve("80")
	for _, c := range append(outside,
		caller{h.ns, hostIPv4 + ":8080", hostIPv4},
		caller{h.ns, "[" + hostIPv6 + "]:8080", hostIPv6},
		caller{h.ns, "127.0.0.1:8080", gateway}, // by the packet filter: the forwarder would be itself
		caller{h.ns, "127.0.0.2:8080", gateway},
		caller{h.ns, "[::1]:8080", ""},
		caller{h.namespaceOf("on-web"), hostIPv4 + ":8080", ""},
		caller{h.namespaceOf("on-web"), "[" + hostIPv6 + "]:8080", ""},
		caller{h.namespaceOf("on-other"), hostIPv4 + ":8080", h.attachment("on-other", "other").IPv4Address.Addr().String()},
	) {
		c.call(t, v)
	}
	for _, itself := range []string{hostIPv4 + ":8080", "[" + hostIPv6 + "]:8080"} {
		if said, err := web.dial(itself); err != nil || said != welcome {
			t.Errorf("call of its own %s: %q, %v", itself, said, err)
		}
		v.wantOne(t, itself, "")
	}
	caller{h.internet, hostIPv4 + ":8081", neighbourIPv4}.call(t, serve("81"))
	h.cannotCall(h.internet, "["+hostIPv6+"]:8081")
	h.cannotCall(h.ns, "127.0.0.1:8081")
	caller{h.ns, "127.0.0.1:8082", gateway}.call(t, serve("82"))
	h.cannotCall(h.internet, hostIPv4+":8082")
	caller{h.internet, hostIPv4 + ":" + chosen, neighbourIPv4}.call(t, serve("85"))
	caller{h.internet, hostIPv4 + ":8083", neighbourIPv4}.call(t, serve("86"))
	caller{h.internet, hostIPv4 + ":8091", neighbourIPv4}.call(t, serve("91"))

	// Nobody who dies takes the ports along.
	plugin := h.network("web").Status.PluginPID
	kill(t, h.daemonPID())
	kill(t, plugin)
	outside[0].call(t, v)
	h.patchbay("system", "start")
	eventually(t, settle, func() error {
		if n := h.network("web"); n.Status.State != "ready" {
			return fmt.Errorf("network web is %s", n.Status.State)
		}
		return nil
	})
	h.must(h.command(h.ns, "nft", "flush table inet patchbay"))
	eventually(t, settle, func() error { // the flush leaves maps as they are
		r := h.command(h.ns, "nft", "list chain inet patchbay published")
		if !strings.Contains(r.stdout, "@published4") {
			return fmt.Errorf("ports are not forwarded: %s", r)
		}
		return nil
	})
	for _, c := range outside {
		c.call(t, v)
	}

	h.patchbay("stop", "-t", "0", "web")
	h.cannotCall(h.internet, hostIPv4+":8080")
	if h.dear() {
		return
	}
	h.patchbay("start", "web")
	if got := h.patchbay("port", "web", "85"); got != strings.Join(random, "\n") {
		t.Errorf("after stop and start port 85 is at %q, was at %q", got, random)
	}
	caller{h.internet, hostIPv4 + ":" + chosen, neighbourIPv4}.call(t, h.probe(t, "web").callers(":85"))
}

// A port that is taken keeps the container from its start; who has it is told,
// and nothing is left. Frames inside of bridges do not go through the host's
// packet filter here, as on most hosts.
func TestTakenPorts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, family := range []string{"iptables", "ip6tables"} {
		err := h.ns.Do(func() error { return os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+family, []byte("0"), 0) })
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	h.up()
	h.patchbay("run", "-d", "--name", "first", "-p", "8080:80", "-p", "8080:80/udp", "box", "sleep", "1000")
	err := h.ns.Do(func() error {
		l, err := net.Listen("tcp", hostIPv4+":8082")
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("process %s (pid %d)", command(t), os.Getpid())
	for _, tt := range []struct{ name, ports, want string }{
		{"second", "-p 8080:80 -p 8081:81", "patchbay: container second: publish 8080/tcp: the host port is taken by container first\n"},
		{"third", "-p " + hostIPv4 + ":8080:80/udp", "patchbay: container third: publish " + hostIPv4 + ":8080/udp: the host port is taken by container first\n"},
		{
			"fourth", "-p 8082:80 -p 203.0.113.7:81:80",
			"patchbay: container fourth: publish 8082/tcp: the host port is taken by " + me + "\n" +
				"patchbay: container fourth: publish 203.0.113.7:81/tcp: the host does not have that address\n",
		},
	} {
		args := append([]string{"create", "--name", tt.name}, strings.Fields(tt.ports)...)
		h.patchbay(append(args, "box", "sleep", "1000")...)
		if r := h.try("start", tt.name); r.code == 0 || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("want the error %q, got %s", tt.want, r)
		}
	}
	if c := h.container("fourth"); len(c.Status.Ports) > 0 {
		t.Errorf("a container that does not run has open ports: %v", c.Status.Ports)
	}
	// Ports follow the networks of a container that runs.
	h.patchbay("network", "create", "other")
	h.patchbay("network", "connect", "other", "first")
	h.patchbay("network", "disconnect", "default", "first")
	caller{h.internet, hostIPv4 + ":8080", neighbourIPv4}.call(t, listenVisitors(t, h.namespaceOf("first"), ":80"))

	h.patchbay("delete", "--force", "first")
	h.patchbay("start", "second")
	h.patchbay("run", "-d", "--name", "neighbour", "box", "sleep", "1000")
	v := listenVisitors(t, h.namespaceOf("second"), ":81")
	for _, c := range []caller{
		{h.internet, hostIPv4 + ":8081", neighbourIPv4},
		{h.namespaceOf("neighbour"), hostIPv4 + ":8081", ""},
		{h.namespaceOf("neighbour"), "[" + hostIPv6 + "]:8081", ""},
		{h.namespaceOf("second"), hostIPv4 + ":8081", ""},
		{h.namespaceOf("second"), "[" + hostIPv6 + "]:8081", ""},
	} {
		c.call(t, v)
	}
	kill(t, h.container("second").Status.HelperPID)
	eventually(t, settle, func() error { // the ports are free when its helper is dead
		r := h.try("start", "second")
		if r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
}

func command(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// asker is a UDP client that keeps its socket.
func asker(t *testing.T, ns *netns.Namespace, to string) net.Conn {
	t.Helper()
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = net.Dial("udp", to)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// askUntilAnswered sends until there is an answer.
func askUntilAnswered(t *testing.T, c net.Conn, want string) {
	t.Helper()
	eventually(t, settle, func() error {
		buffer := make([]byte, 64)
		c.Write([]byte("?"))
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Read(buffer)
		if err == nil && string(buffer[:n]) != want {
			err = fmt.Errorf("got an answer of %q, want %q", buffer[:n], want)
		}
		if err != nil {
			return fmt.Errorf("udp to %v: %w", c.RemoteAddr(), err)
		}
		return nil
	})
}

// A client that keeps sending UDP from one socket reaches the container that has
// the port now, as itself: the kernel forgets where its flow went before.
func TestPublishedDatagrams(t *testing.T) {
	onEachRuntimeAtLength(t, testPublishedDatagrams)
}

func testPublishedDatagrams(t *testing.T, h *host) {
	h.up()
	clients := []net.Conn{asker(t, h.internet, hostIPv4+":5300"), asker(t, h.internet, "["+hostIPv6+"]:5300")}
	local := []net.Conn{asker(t, h.ns, "127.0.0.1:5300"), asker(t, h.ns, "[::1]:5300")}
	for _, c := range clients {
		c.Write([]byte("too early")) // the kernel has a flow to the host itself now
	}
	for _, name := range []string{"one", "two"} {
		h.runAsleep("--name", name, "-p", "5300:5353/udp")
		from := h.probe(t, name).datagrams(":5353", name)
		var earlier []uint16 // who may have asked more than once
		for _, c := range clients {
			askUntilAnswered(t, c, name)
			got, want := (<-from).From.Port(), netip.MustParseAddrPort(c.LocalAddr().String()).Port()
			for slices.Contains(earlier, got) {
				got = (<-from).From.Port()
			}
			if got != want {
				t.Errorf("container %s sees port %d as the client's, want %d", name, got, want)
			}
			earlier = append(earlier, want)
		}
		for _, c := range local {
			askUntilAnswered(t, c, name)
		}
		h.patchbay("stop", "-t", "0", name)
	}
}

// A network whose plugin publishes nothing has its ports forwarded by the
// container's helper, which takes over from one that does.
func TestPortsOfAnyPlugin(t *testing.T) {
	onEachRuntime(t, testPortsOfAnyPlugin)
}

func testPortsOfAnyPlugin(t *testing.T, h *host) {
	h.up()
	h.patchbay("network", "create", "lan", "--plugin", "macvlan", "--option", "parent="+uplink, "--subnet", "10.77.0.0/24", "--subnet-v6", "fd77::/64")
	h.patchbay("network", "create", "web")
	h.patchbay("network", "create", "closed", "--internal")
	h.patchbay("network", "create", "apart", "--plugin", "usermode")
	h.runAsleep("--name", "app", "--network", "web", "-p", "80", "-p", "7000", "-p", "5353/udp")
	app := h.probe(t, "app")
	v := app.callers(":80")
	app.datagrams(":5353", "here")
	at := func(address, port string) string {
		return net.JoinHostPort(address, strings.TrimPrefix(strings.Split(h.patchbay("port", "app", port), "\n")[0], "0.0.0.0:"))
	}
	last := ""
	for _, network := range []string{"web", "lan", "closed", "apart"} {
		if last != "" {
			h.patchbay("network", "connect", network, "app")
			h.patchbay("network", "disconnect", last, "app")
		}
		last = network
		for _, c := range []caller{{h.internet, at(hostIPv4, "80"), ""}, {h.internet, at(hostIPv6, "80"), ""}, {h.ns, at("127.0.0.1", "80"), ""}, {h.ns, at("::1", "80"), ""}} {
			c.call(t, v)
		}
		askUntilAnswered(t, asker(t, h.internet, at(hostIPv4, "5353/udp")), "here")
		askUntilAnswered(t, asker(t, h.internet, at(hostIPv6, "5353/udp")), "here")
	}
}
