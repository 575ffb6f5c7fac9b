//go:build integration

package bridge

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// With its port off the bridge, a container that is known to the host and knows it reaches
// the host by the fast path alone, and is reached by it: streams in segments larger than the
// link's, whose checksums nobody has made yet, and datagrams.
func TestFastPathToTheHost(t *testing.T) {
	t.Parallel()
	for name, company := range map[string]func(*testing.T, *served, box){
		"beside another": func(t *testing.T, s *served, _ box) {
			s.plug(t, netnstest.New(t), "b/0", "eth0")
		},
		"alone with a published port": func(t *testing.T, s *served, a box) {
			port := resource.PublishedPort{Protocol: resource.ProtocolTCP, HostPort: 8080, ContainerPort: 8080}
			if _, err := s.Publish(t.Context(), a.port, []resource.PublishedPort{port}); err != nil {
				t.Fatal(err)
			}
			netnstest.Do(t, s.host(), func() error {
				if err := command("ip", "link", "add", "wire", "up", "master", s.bridge, "type", "veth", "peer", "end"); err != nil {
					return err
				}
				return command("ip", "link", "set", "end", "up")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fastToTheHost(t, company)
		})
	}
}

// fastToTheHost is the test of a container in company, which also keeps the bridge's carrier.
func fastToTheHost(t *testing.T, company func(*testing.T, *served, box)) {
	onBothFilters(t, func(t *testing.T, w world) {
		c := configuration(idA, VariantNAT, "10.9.0.0/24", "fd09::/64")
		c.Options = map[string]string{optionHostAccess: "gateway"}
		s := start(t, w, c)
		a := s.plug(t, netnstest.New(t), "a/0", "eth0")
		company(t, s, a)
		s.quick(t, "a/0")
		host, container := echo(t, w.host), echo(t, a.Namespace)
		reaches(t, a.Namespace, "10.9.0.1", "fd09::1") // both know the other's MAC address
		reaches(t, w.host, a.v4, a.v6)
		netnstest.Do(t, w.host, func() error { return command("ip", "link", "set", "dev", s.portName("a/0"), "nomaster") })
		reachesNot(t, a.Namespace, "10.9.0.1", "fd09::1")
		for _, way := range []struct {
			from   *netns.Namespace
			server string
			ports  echoPorts
		}{
			{a.Namespace, "10.9.0.1", host},
			{a.Namespace, "fd09::1", host},
			{w.host, a.v4, container},
			{w.host, a.v6, container},
		} {
			if err := converse(way.from, "tcp", net.JoinHostPort(way.server, way.ports.tcp), 4<<20, 2*soon); err != nil {
				t.Errorf("a stream to %s: %v", way.server, err)
			}
			for _, size := range []int{1, 1400} {
				if err := converse(way.from, "udp", net.JoinHostPort(way.server, way.ports.udp), size, soon); err != nil {
					t.Errorf("a datagram of %d bytes to %s: %v", size, way.server, err)
				}
			}
		}
		// Who is expelled has no way to the host left.
		if err := s.Expel(t.Context(), a.port); err != nil {
			t.Fatal(err)
		}
		if err := converse(a.Namespace, "udp", net.JoinHostPort("10.9.0.1", host.udp), 1, none); err == nil {
			t.Error("who is expelled reaches the host")
		}
	})
}

// command runs a program, whose output is part of its error.
func command(words ...string) error {
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", words, err, out)
	}
	return nil
}

// echoPorts are those of a server.
type echoPorts struct{ tcp, udp string }

// echo answers with what it gets, in ns until the test ends.
func echo(t *testing.T, ns *netns.Namespace) (ports echoPorts) {
	t.Helper()
	var streams net.Listener
	var datagrams net.PacketConn
	netnstest.Do(t, ns, func() (err error) {
		if streams, err = net.Listen("tcp", ":0"); err != nil {
			return err
		}
		datagrams, err = net.ListenPacket("udp", ":0")
		return err
	})
	t.Cleanup(func() { streams.Close(); datagrams.Close() })
	go func() {
		for {
			c, err := streams.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := datagrams.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = datagrams.WriteTo(buffer[:n], from)
		}
	}()
	_, ports.tcp, _ = net.SplitHostPort(streams.Addr().String())
	_, ports.udp, _ = net.SplitHostPort(datagrams.LocalAddr().String())
	return ports
}

// converse has a server send back that many bytes while they are sent.
func converse(from *netns.Namespace, protocol, server string, size int, patience time.Duration) error {
	var c net.Conn
	err := from.Do(func() (err error) { c, err = net.DialTimeout(protocol, server, soon); return err })
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i * i >> 3)
	}
	written := make(chan error, 1)
	go func() { _, err := c.Write(sent); written <- err }()
	got := make([]byte, size)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return fmt.Errorf("gets back something else than it sent")
	}
	return <-written
}
