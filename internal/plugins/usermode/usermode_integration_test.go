//go:build integration

package usermode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/macaddress"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/tapstream"
	"patchbay.dev/patchbay/networkplugin"
	"patchbay.dev/patchbay/resource"
)

const (
	soon = 2 * time.Minute
	none = 300 * time.Millisecond
)

// bench is a host with a network, and a machine that the host reaches.
type bench struct {
	host, outside *netns.Namespace
	config        networkplugin.Configuration
	network       *Network
	realized      networkplugin.Realization
}

// The machine outside, and the host as it sees it.
const (
	outside4, outside6 = "192.0.2.9", "2001:db8::9"
	host4, host6       = "192.0.2.1", "2001:db8::1"
)

func newBench(t *testing.T, variant string, options map[string]string, change ...func(*networkplugin.Configuration)) *bench {
	t.Helper()
	directory, err := os.MkdirTemp("", "usermode") // short, for the names of sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	b := &bench{host: netnstest.New(t), outside: netnstest.New(t)}
	netnstest.Pair(t,
		netnstest.End{Namespace: b.host, Name: "up0", Addresses: []string{host4 + "/24", host6 + "/64"}},
		netnstest.End{Namespace: b.outside, Name: "lan0", Addresses: []string{outside4 + "/24", outside6 + "/64"}})
	b.config = networkplugin.Configuration{
		ID: "aaaaaaaaaaaaaaaa", Name: "user", Variant: variant, Options: options, StateDirectory: directory,
		IPv4Subnet: netip.MustParsePrefix("10.9.0.0/24"), IPv6Subnet: netip.MustParsePrefix("fd09::/64"),
	}
	for _, c := range change {
		c(&b.config)
	}
	b.start(t)
	t.Cleanup(func() {
		if err := b.network.Stop(context.Background(), true); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(directory); err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
	return b
}

// start starts the network as a new process does.
func (b *bench) start(t *testing.T) {
	t.Helper()
	n, err := newIn(b.host, b.config)
	if err != nil {
		t.Fatal(err)
	}
	if b.realized, err = n.Start(t.Context(), b.config); err != nil {
		t.Fatal(err)
	}
	b.network = n
}

func port(number byte) networkplugin.Port {
	key := fmt.Sprintf("%d/0", number)
	return networkplugin.Port{Key: key, Attachment: resource.Attachment{
		MACAddress:  macaddress.Stable("user", key),
		IPv4Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, number}), 24),
		IPv6Address: netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 9, 15: number}), 64),
	}}
}

// plug attaches a fresh sandbox as a runtime does.
func (b *bench) plug(t *testing.T, p networkplugin.Port) *netns.Namespace {
	t.Helper()
	if err := b.network.Admit(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	plan, err := b.network.Plan(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	ns := netnstest.New(t)
	tap, err := link.AddTap(link.Peer{Namespace: ns, Name: "eth0", MAC: p.Attachment.MACAddress, MTU: b.realized.MTU})
	if err != nil {
		t.Fatal(err)
	}
	pump, err := tapstream.NewPump(t.Context(), tap, plan.(resource.TapStreamParameters).Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pump.Close)
	var routes []resource.Route
	for _, gateway := range []netip.Addr{b.realized.IPv4Gateway, b.realized.IPv6Gateway} {
		if gateway.IsValid() {
			routes = append(routes, netnstest.Default(gateway.String()))
		}
	}
	var addresses []netip.Prefix
	for _, address := range []netip.Prefix{p.Attachment.IPv4Address, p.Attachment.IPv6Address} {
		if address.IsValid() {
			addresses = append(addresses, address)
		}
	}
	if err := netnstest.Link(t, ns).Configure("eth0", addresses, routes); err != nil {
		t.Fatal(err)
	}
	return ns
}

// echoUDP answers datagrams to an address of a namespace with themselves.
func echoUDP(t *testing.T, ns *netns.Namespace, address string) {
	t.Helper()
	var c net.PacketConn
	netnstest.Do(t, ns, func() (err error) {
		c, err = net.ListenPacket("udp", address)
		return err
	})
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
}

// askUDP sends a datagram and returns what comes back.
func askUDP(ns *netns.Namespace, address string, datagram []byte, timeout time.Duration) (answer []byte, err error) {
	err = ns.Do(func() error {
		c, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if _, err := c.Write(datagram); err != nil {
			return err
		}
		b := make([]byte, 1<<16)
		n, err := c.Read(b)
		answer = b[:n]
		return err
	})
	return answer, err
}

func TestOutside(t *testing.T) {
	t.Parallel()
	b := newBench(t, VariantNAT, nil)
	if b.realized.IPv4Gateway.String() != "10.9.0.1" || b.realized.IPv6Gateway.String() != "fd09::1" || b.realized.MTU != defaultMTU {
		t.Errorf("realization: %+v", b.realized)
	}
	a := b.plug(t, port(2))
	for _, family := range []struct{ outside, host, gateway string }{{outside4, host4, "10.9.0.1"}, {outside6, host6, "fd09::1"}} {
		tcp := net.JoinHostPort(family.outside, "80")
		netnstest.Listen(t, b.outside, tcp)
		if seen, err := netnstest.Dial(a, tcp, soon); err != nil || seen != family.host {
			t.Errorf("tcp to %s: seen as %q, %v; want %q", tcp, seen, err, family.host)
		}
		udp := net.JoinHostPort(family.outside, "53")
		echoUDP(t, b.outside, udp)
		long := bytes.Repeat([]byte("datagram "), 3000) // in fragments on the host's side
		if answer, err := askUDP(a, udp, long, soon); err != nil || !bytes.Equal(answer, long) {
			t.Errorf("udp to %s: %d bytes, %v; want %d", udp, len(answer), err, len(long))
		}
		for _, target := range []string{family.outside, family.gateway} {
			if err := netnstest.Ping(a, target, "", soon); err != nil {
				t.Error(err)
			}
		}
		if err := netnstest.Ping(a, strings.Replace(family.outside, "9", "7", 1), "", none); err == nil {
			t.Errorf("a machine that is not there answers")
		}
		for _, closed := range []string{net.JoinHostPort(family.outside, "81"), net.JoinHostPort(family.gateway, "80")} {
			if _, err := askUDP(a, closed, []byte("anybody?"), soon); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("udp to %s: %v, want it refused", closed, err)
			}
			if _, err := netnstest.Dial(a, closed, soon); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("tcp to %s: %v, want it refused", closed, err)
			}
		}
	}
	all, err := netnstest.Link(t, b.host).Interfaces()
	if err != nil || len(all) != 2 {
		t.Errorf("the host has %+v, %v; want loopback and up0", all, err)
	}
}

// A network may have one family, and a subnet for two.
func TestOneFamily(t *testing.T) {
	t.Parallel()
	b := newBench(t, VariantNAT, nil, func(c *networkplugin.Configuration) {
		c.IPv4Subnet, c.IPv4Disabled, c.IPv6Subnet = netip.Prefix{}, true, netip.MustParsePrefix("fd09::2/127")
	})
	if b.realized.IPv4Subnet.IsValid() || b.realized.IPv4Gateway.IsValid() || b.realized.IPv6Gateway.String() != "fd09::2" {
		t.Errorf("realization: %+v", b.realized)
	}
	p := port(3)
	p.Attachment.IPv4Address, p.Attachment.IPv6Address = netip.Prefix{}, netip.MustParsePrefix("fd09::3/127")
	a := b.plug(t, p)
	for _, target := range []string{outside6, "fd09::2"} {
		if err := netnstest.Ping(a, target, "", soon); err != nil {
			t.Error(err)
		}
	}
}

// Each side ends its half of a connection by itself, and nothing of either is lost.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	b := newBench(t, VariantNAT, nil)
	a := b.plug(t, port(2))
	var l net.Listener
	netnstest.Do(t, b.outside, func() (err error) {
		l, err = net.Listen("tcp", outside4+":80")
		return err
	})
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c)
		_, _ = c.Write(all)
	}()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	netnstest.Do(t, a, func() error {
		c, err := net.Dial("tcp", outside4+":80")
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(3 * soon)); err != nil {
			return err
		}
		if _, err := c.Write(sent); err != nil {
			return err
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		got, err := io.ReadAll(c)
		if !bytes.Equal(got, sent) {
			t.Errorf("got %d bytes back, want the %d that were sent", len(got), len(sent))
		}
		return err
	})
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	for variant, leaves := range map[string]bool{VariantNAT: true, VariantInternal: false} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, variant, nil)
			if b.realized.IPv4Gateway.IsValid() != leaves {
				t.Errorf("realization: %+v", b.realized)
			}
			a, c := b.plug(t, port(2)), b.plug(t, port(3))
			netnstest.Listen(t, c, "10.9.0.3:80")
			if seen, err := netnstest.Dial(a, "10.9.0.3:80", soon); err != nil || seen != "10.9.0.2" {
				t.Errorf("seen as %q, %v", seen, err)
			}
			if err := netnstest.Ping(a, "fd09::3", "", soon); err != nil {
				t.Error(err)
			}
			answer := soon
			if !leaves {
				answer = none
			}
			if err := netnstest.Ping(a, outside4, "", answer); (err == nil) != leaves {
				t.Errorf("the outside: %v, want success %t", err, leaves)
			}
			if err := b.network.Expel(t.Context(), port(3)); err != nil {
				t.Fatal(err)
			}
			if err := netnstest.Ping(a, "10.9.0.3", "", none); err == nil {
				t.Error("an expelled port still answers")
			}
			if err := b.network.Expel(t.Context(), port(3)); err != nil {
				t.Errorf("expelled again: %v", err)
			}
		})
	}
}

// A check finds a socket that somebody removed, and a start makes it again.
func TestCheck(t *testing.T) {
	t.Parallel()
	b := newBench(t, VariantInternal, nil)
	p := port(2)
	b.plug(t, p)
	if faults := b.network.Check(t.Context()); len(faults) != 0 {
		t.Errorf("faults of a network that is whole: %q", faults)
	}
	socket := filepath.Join(b.config.StateDirectory, socketName(p.Key))
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if faults := b.network.Check(t.Context()); len(faults) != 1 || !strings.Contains(faults[0], socket) {
		t.Errorf("faults without the socket: %q", faults)
	}
	if _, err := b.network.Start(t.Context(), b.config); err != nil {
		t.Fatal(err)
	}
	if faults := b.network.Check(t.Context()); len(faults) != 0 {
		t.Errorf("faults after the repair: %q", faults)
	}
	if _, err := os.Lstat(socket); err != nil {
		t.Error(err)
	}
}

// The sockets of the plugin reach much that a container must not.
func TestHostAndNetworksAreClosed(t *testing.T) {
	t.Parallel()
	for access, opens := range map[string]string{"": "", "gateway": "10.9.0.1", "all": "10.9.0.1 192.0.2.1"} {
		t.Run("access "+access, func(t *testing.T) {
			t.Parallel()
			options := map[string]string{}
			if access != "" {
				options[optionHostAccess] = access
			}
			b := newBench(t, VariantNAT, options)
			a := b.plug(t, port(2))
			netnstest.Listen(t, b.host, ":80") // on all addresses, both families
			other := netnstest.New(t)
			hostLinks := netnstest.Link(t, b.host)
			spec := link.BridgeSpec{Name: "pb-0", Alias: link.OwnerAlias("bbbb"), MTU: 1500, Addresses: []netip.Prefix{netip.MustParsePrefix("10.8.0.1/24")}}
			if err := errors.Join(hostLinks.EnsureBridge(spec), hostLinks.AddBridgePort("pb-0", "p0", link.Peer{Namespace: other, Name: "eth0"})); err != nil {
				t.Fatal(err)
			}
			if err := netnstest.Link(t, other).Configure("eth0", []netip.Prefix{netip.MustParsePrefix("10.8.0.2/24")}, nil); err != nil {
				t.Fatal(err)
			}
			netnstest.Listen(t, other, "10.8.0.2:80")
			if _, err := netnstest.Dial(b.host, "10.8.0.2:80", soon); err != nil {
				t.Fatalf("the host itself: %v", err)
			}
			for _, target := range []string{"10.9.0.1", host4, "10.8.0.2"} {
				opened := strings.Contains(opens, target)
				_, err := netnstest.Dial(a, target+":80", soon)
				if (err == nil) != opened || err != nil && !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("%s: %v, want success %t", target, err, opened)
				}
				if _, err := askUDP(a, target+":80", []byte("anybody?"), soon); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("%s by udp: %v, want it refused", target, err)
				}
			}
			// Of these a container's own kernel may send no packet.
			for _, target := range []string{
				"127.0.0.1", "0.0.0.0", "169.254.169.254", "10.9.0.77", "192.0.2.255", "255.255.255.255", "224.0.0.251",
				"::1", "::", "fe80::1", "ff02::fb", "fd09::77", "::ffff:192.0.2.9",
			} {
				run, err := b.network.started()
				if err != nil {
					t.Fatal(err)
				}
				if to, err := b.network.reach(run, netip.MustParseAddr(target)); !errdefs.IsPermissionDenied(err) {
					t.Errorf("%s: leads to %v, %v; want it refused", target, to, err)
				}
			}
			verdict, err := b.network.Explain(t.Context(), port(2), netip.MustParseAddr(host4))
			if err != nil || strings.HasPrefix(verdict.Answer, networkplugin.Accepted) != (access == "all") {
				t.Errorf("explained: %+v, %v", verdict, err)
			}
		})
	}
}

// A plugin that dies takes its connections along, which the next one resets, and the
// sandboxes connect to that by themselves.
func TestRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, VariantNAT, nil)
	a := b.plug(t, port(2))
	if err := netnstest.Ping(a, outside4, "", soon); err != nil {
		t.Fatal(err)
	}
	connection := b.connect(t, a)
	run, err := b.network.started()
	if err != nil {
		t.Fatal(err)
	}
	run.ports.Close() // first, as if killed: the stack's last words are not heard
	if err := b.network.Stop(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(b.config.StateDirectory, socketName("7/0"))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	b.config.Ports = []networkplugin.Port{port(2)}
	b.start(t)
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a port that is gone: %v", err)
	}
	var last error
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); {
		if last = netnstest.Ping(a, outside4, "", none); last == nil {
			break
		}
	}
	if last != nil {
		t.Error(last)
	}
	if _, err := connection.Write([]byte("still there?")); err != nil {
		t.Errorf("the old connection knows already: %v", err)
	}
	if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the old connection: %v, want it reset", err)
	}
}

// connect opens a connection from a namespace to the machine outside, which says
// nothing.
func (b *bench) connect(t *testing.T, ns *netns.Namespace) net.Conn {
	t.Helper()
	var l net.Listener
	netnstest.Do(t, b.outside, func() (err error) {
		l, err = net.Listen("tcp", outside4+":7")
		return err
	})
	t.Cleanup(func() { l.Close() })
	var c net.Conn
	netnstest.Do(t, ns, func() (err error) {
		c, err = net.Dial("tcp", outside4+":7")
		return err
	})
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(3 * soon)); err != nil {
		t.Fatal(err)
	}
	return c
}
