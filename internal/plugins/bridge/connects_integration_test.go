//go:build integration

package bridge

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// knows waits until the network's path knows whether an address is the host's; the kernel
// tells the plugin.
func (s *served) knows(t *testing.T, address string, here bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); ; time.Sleep(time.Millisecond) {
		s.direct.mu.Lock()
		known, off := s.direct.own[netip.MustParseAddr(address)], s.direct.off
		s.direct.mu.Unlock()
		if off != "" {
			t.Fatalf("there are no programs at connect: %s", off)
		}
		if known == here {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("address %s of the host: known %v, want %v", address, known, here)
		}
	}
}

// unfiltered leaves nothing to the packet filter: who reaches a published port now does so
// by the programs at connect.
func (s *served) unfiltered(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	s.unwatch() // it would put the packet filter back
	s.mu.Unlock()
	nft(t, s.host(), "flush", "ruleset")
}

func (s *served) host() *netns.Namespace { return s.world.host }

// publishing makes a network whose container has ports published, with a server at port 80
// of both families.
func publishing(t *testing.T, w world, options map[string]string, ports ...resource.PublishedPort) (*served, box) {
	t.Helper()
	c := configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")
	c.Options = options
	s := start(t, w, c)
	a := s.plug(t, netnstest.New(t), "a/0", "eth0")
	netnstest.Listen(t, a.Namespace, ":80")
	s.publish(t, a.port, ports...)
	return s, a
}

func isRefused(t *testing.T, from *netns.Namespace, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		if seen, err := netnstest.Dial(from, address, soon); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("a connection to %s: is seen as %q, error %v; want it refused", address, seen, err)
		}
	}
}

// What programs of the host connect to leads to the container by itself, which sees the same
// client as with the packet filter, while who connects sees what he asked for.
func TestConnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := netip.MustParseAddr
	s, a := publishing(t, w, nil,
		tcp(netip.Addr{}, 8080, 80), tcp(at("127.0.0.1"), 8081, 80), tcp(at("192.0.2.1"), 8082, 80), tcp(at("::1"), 8083, 80),
		tcp(at("2001:db8::1"), 8084, 80), tcp(netip.IPv4Unspecified(), 8085, 80), tcp(netip.Addr{}, 8086, 81))
	s.knows(t, "192.0.2.1", true)
	s.knows(t, "2001:db8::1", true)
	s.unfiltered(t)
	gateway4, gateway6 := "10.9.0.1", s.realized.IPv6Gateway.String()
	for address, want := range map[string]string{
		"127.0.0.1:8080": gateway4, "127.1.2.3:8080": gateway4, "[::1]:8080": gateway6, "0.0.0.0:8080": gateway4,
		"192.0.2.1:8080": "192.0.2.1", "[2001:db8::1]:8080": "2001:db8::1", "10.9.0.1:8080": gateway4,
		"127.0.0.1:8081": gateway4, "192.0.2.1:8082": "192.0.2.1", "[::1]:8083": gateway6, "[2001:db8::1]:8084": "2001:db8::1",
		"127.0.0.1:8085": gateway4,
	} {
		if seen, err := netnstest.Dial(w.host, address, soon); err != nil || seen != "::ffff:"+want && seen != want {
			t.Errorf("by %s the container sees %q, error %v; want %s", address, seen, err, want)
		}
	}
	isRefused(t, w.host, "192.0.2.1:8081", "127.0.0.2:8081", "[::1]:8081", "127.0.0.1:8082", "[2001:db8::1]:8083", "[::1]:8084", "[::1]:8085",
		"127.0.0.1:8086", "[::1]:8086", "127.0.0.1:8087")
	isRefused(t, w.outside, "127.0.0.1:8080", "[::1]:8080", "192.0.2.9:8080")
	isRefused(t, a.Namespace, "127.0.0.1:8080")

	// Another host is not taken for this one, also when it gets an address of this one's.
	netnstest.Listen(t, w.outside, "192.0.2.9:8080")
	if seen, err := netnstest.Dial(w.host, "192.0.2.9:8080", soon); err != nil || seen != "192.0.2.1" {
		t.Errorf("another host sees %q, error %v", seen, err)
	}

	// A port that is not published any more is refused at once.
	s.publish(t, a.port, tcp(netip.Addr{}, 8080, 80))
	isRefused(t, w.host, "127.0.0.1:8081", "192.0.2.1:8082", "[::1]:8083")
	if err := s.Unpublish(t.Context(), a.port); err != nil {
		t.Fatal(err)
	}
	isRefused(t, w.host, "127.0.0.1:8080", "192.0.2.1:8080", "[::1]:8080")
}

// dialSocket connects a socket that was prepared, and returns its peer.
func dialSocket(t *testing.T, ns *netns.Namespace, domain int, prepare func(int) error, to unix.Sockaddr) (peer unix.Sockaddr, err error) {
	t.Helper()
	netnstest.Do(t, ns, func() error {
		fd, socketErr := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if socketErr != nil {
			return socketErr
		}
		defer unix.Close(fd)
		if prepareErr := prepare(fd); prepareErr != nil {
			return prepareErr
		}
		if err = unix.Connect(fd, to); err == nil {
			peer, err = unix.Getpeername(fd)
		}
		return nil
	})
	return peer, err
}

// Sockets whose way somebody has chosen are left to the packet filter; all see the peer that
// they asked for.
func TestConnectSockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := publishing(t, w, nil, tcp(netip.Addr{}, 8080, 80), tcp(netip.Addr{}, 8081, 81))
	s.knows(t, "192.0.2.1", true)
	netnstest.Listen(t, w.host, "127.0.0.1:9000")
	plain := func(int) error { return nil }
	loopback := &unix.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}}
	mapped := &unix.SockaddrInet6{Port: 8080, Addr: netip.MustParseAddr("::ffff:192.0.2.1").As16()}
	chosen := map[string]func(int) error{
		"a source address": func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) },
		"an interface":     func(fd int) error { return unix.BindToDevice(fd, "lo") },
		"a mark":           func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 7) },
	}
	again := func(fd int) error { // a port of the container that is closed
		err := unix.Connect(fd, &unix.SockaddrInet4{Port: 8081, Addr: [4]byte{127, 0, 0, 1}})
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("a closed port of the container: error %v", err)
		}
		return nil
	}
	want := func(what string, domain int, prepare func(int) error, to unix.Sockaddr) {
		t.Helper()
		if peer, err := dialSocket(t, w.host, domain, prepare, to); err != nil || !sameSockaddr(peer, to) {
			t.Errorf("%s: peer %+v, error %v; want %+v", what, peer, err, to)
		}
	}
	for what, prepare := range chosen {
		if what != "an interface" { // the packet filter does not have it leave by another
			want(what, unix.AF_INET, prepare, loopback)
		}
	}
	s.unfiltered(t)
	want("plain", unix.AF_INET, plain, loopback)
	want("IPv4 within IPv6", unix.AF_INET6, plain, mapped)
	want("IPv6", unix.AF_INET6, plain, &unix.SockaddrInet6{Port: 8080, Addr: netip.IPv6Loopback().As16()})
	want("the second attempt of a socket", unix.AF_INET, again, loopback)
	want("the second attempt of a socket, at a service of the host", unix.AF_INET, again, &unix.SockaddrInet4{Port: 9000, Addr: [4]byte{127, 0, 0, 1}})
	for what, prepare := range chosen {
		if peer, err := dialSocket(t, w.host, unix.AF_INET, prepare, loopback); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: peer %+v, error %v; want it left alone, and refused", what, peer, err)
		}
	}
}

func sameSockaddr(a, b unix.Sockaddr) bool {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		b, ok := b.(*unix.SockaddrInet4)
		return ok && a.Addr == b.Addr && a.Port == b.Port
	case *unix.SockaddrInet6:
		b, ok := b.(*unix.SockaddrInet6)
		return ok && a.Addr == b.Addr && a.Port == b.Port
	}
	return false
}

// Addresses of the host are learned as they come and go.
func TestConnectOwnAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := publishing(t, w, nil, tcp(netip.Addr{}, 8080, 80))
	change := func(verb string) {
		t.Helper()
		ip(t, w.host, "address", verb, "192.0.2.77/24", "dev", "up0")
	}
	s.knows(t, "192.0.2.1", true)
	change("add")
	s.knows(t, "192.0.2.77", true)
	s.unfiltered(t)
	if seen, err := netnstest.Dial(w.host, "192.0.2.77:8080", soon); err != nil || !strings.HasSuffix(seen, "192.0.2.77") {
		t.Errorf("by a new address the container sees %q, error %v", seen, err)
	}
	change("del")
	s.knows(t, "192.0.2.77", false)
	ip(t, w.outside, "address", "add", "192.0.2.77/24", "dev", "net0")
	netnstest.Listen(t, w.outside, "192.0.2.77:8080")
	if seen, err := netnstest.Dial(w.host, "192.0.2.77:8080", soon); err != nil || seen != "192.0.2.1" {
		t.Errorf("who has the address now sees %q, error %v", seen, err)
	}
}

// Where there are no programs the packet filter forwards: the option is off, or the plugin
// has ended. What it led to a container goes on.
func TestConnectIsOff(t *testing.T) {
	t.Parallel()
	t.Run("option", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s, _ := publishing(t, w, map[string]string{optionFastPath: "off"}, tcp(netip.Addr{}, 8080, 80))
		if seen, err := netnstest.Dial(w.host, "192.0.2.1:8080", soon); err != nil || !strings.HasSuffix(seen, "192.0.2.1") {
			t.Errorf("the container sees %q, error %v", seen, err)
		}
		s.unfiltered(t)
		isRefused(t, w.host, "127.0.0.1:8080", "192.0.2.1:8080")
	})
	t.Run("end", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s, a := publishing(t, w, nil, tcp(netip.Addr{}, 8080, 80), tcp(netip.Addr{}, 8090, 90))
		var l net.Listener
		netnstest.Do(t, a.Namespace, func() (err error) { l, err = net.Listen("tcp", ":90"); return err })
		defer l.Close()
		s.knows(t, "192.0.2.1", true)
		var open net.Conn
		netnstest.Do(t, w.host, func() (err error) { open, err = net.DialTimeout("tcp", "127.0.0.1:8090", soon); return err })
		defer open.Close()
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		if err := s.direct.end(); err != nil {
			t.Fatal(err)
		}
		if seen, err := netnstest.Dial(w.host, "127.0.0.1:8080", soon); err != nil || !strings.HasSuffix(seen, "10.9.0.1") {
			t.Errorf("the container sees %q, error %v", seen, err)
		}
		if _, err := served.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = open.SetDeadline(time.Now().Add(soon))
		if _, err := open.Read(make([]byte, 1)); err != nil {
			t.Errorf("an open connection has ended: %v", err)
		}
		s.unfiltered(t)
		isRefused(t, w.host, "127.0.0.1:8080", "192.0.2.1:8080")
	})
}
