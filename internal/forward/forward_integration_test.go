//go:build integration

package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/resource"
)

// patience ends a test that hangs. One that does not takes half a minute under the race detector on a busy machine.
const patience = 2 * time.Minute

// world is a host with its loopback addresses alone and a sandbox with its own.
type world struct{ host, sandbox *netns.Namespace }

func newWorld(t testing.TB) world {
	t.Helper()
	return world{netnstest.New(t), netnstest.New(t)}
}

func in[T any](t testing.TB, ns *netns.Namespace, f func() (T, error)) T {
	t.Helper()
	var out T
	netnstest.Do(t, ns, func() (err error) {
		out, err = f()
		return err
	})
	return out
}

// forward publishes port 1000 of the host as 2000 of the sandbox.
func (w world) forward(t testing.TB, protocol string) *Sockets {
	t.Helper()
	return w.forwardBy(t, protocol, func(c net.Conn) net.Conn { return c })
}

// forwardBy does that with other connections into the sandbox.
func (w world) forwardBy(t testing.TB, protocol string, other func(net.Conn) net.Conn) *Sockets {
	t.Helper()
	s := in(t, w.host, func() (*Sockets, error) {
		return Listen([]resource.PublishedPort{{Protocol: protocol, HostPort: 1000, ContainerPort: 2000}})
	})
	t.Cleanup(s.Close)
	s.Serve(Targets{IPv4: netip.MustParseAddr("127.0.0.1"), IPv6: netip.IPv6Loopback()}, func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = w.sandbox.Do(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		if err != nil {
			return nil, err
		}
		return other(c), nil
	}, slog.New(slog.DiscardHandler))
	return s
}

func (w world) call(t testing.TB, network, address string) net.Conn {
	t.Helper()
	c := in(t, w.host, func() (net.Conn, error) { return net.Dial(network, address) })
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// serve lets f answer each connection to port 2000 of the sandbox.
func (w world) serve(t testing.TB, f func(*net.TCPConn)) {
	t.Helper()
	l := in(t, w.sandbox, func() (net.Listener, error) { return net.Listen("tcp", ":2000") })
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c.(*net.TCPConn))
		}
	}()
}

// Each side may end what it says and still hears the other one; nothing is lost.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve(t, func(c *net.TCPConn) {
		question, _ := io.ReadAll(c)
		fmt.Fprintf(c, "you said %d bytes", len(question))
		c.Close()
	})
	w.forward(t, "tcp")
	for _, address := range []string{"127.0.0.1:1000", "[::1]:1000"} {
		c := w.call(t, "tcp", address)
		const size = 8 << 20
		if _, err := c.Write(bytes.Repeat([]byte{'x'}, size)); err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(c)
		if want := fmt.Sprintf("you said %d bytes", size); string(answer) != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", address, answer, err, want)
		}
	}
}

// A connection that is broken on one side is broken on the other one, and one to a
// port on which nobody listens is broken at once.
func TestReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forward(t, "tcp")
	_, err := netnstest.Dial(w.host, "127.0.0.1:1000", patience)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want the connection to be reset", err)
	}
	broken := func(c net.Conn) {
		t.Helper()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want the connection to be reset", err)
		}
	}

	heard := make(chan error)
	w.serve(t, func(c *net.TCPConn) {
		first := make([]byte, 1)
		c.SetDeadline(time.Now().Add(patience))
		c.Read(first)
		if first[0] == 'r' {
			c.SetLinger(0)
			c.Close()
			return
		}
		_, err := c.Read(first)
		heard <- err
	})
	c := w.call(t, "tcp", "127.0.0.1:1000")
	c.Write([]byte("r"))
	broken(c)

	c = w.call(t, "tcp", "127.0.0.1:1000")
	c.Write([]byte("w"))
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if err := <-heard; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server heard %v, want the connection to be reset", err)
	}
}

// The end of a sandbox ends its connections, and frees its ports.
func TestClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve(t, func(c *net.TCPConn) { io.Copy(c, c) })
	s := w.forward(t, "tcp")
	c := w.call(t, "tcp", "127.0.0.1:1000")
	c.Write([]byte("?"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection goes on")
	}
	in(t, w.host, func() (net.Listener, error) { return net.Listen("tcp", ":1000") }).Close()
}

// Ports are taken all or none, and each that cannot be had is told.
func TestListenIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	taken := in(t, w.host, func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:1001") })
	defer taken.Close()
	datagrams := in(t, w.host, func() (net.PacketConn, error) { return net.ListenPacket("udp", "[::1]:1001") })
	defer datagrams.Close()
	err := w.host.Do(func() error {
		_, err := Listen([]resource.PublishedPort{
			{Protocol: "tcp", HostPort: 1000, ContainerPort: 1},
			{Protocol: "tcp", HostPort: 1001, ContainerPort: 1},
			{Protocol: "udp", HostPort: 1001, ContainerPort: 1},
			{Protocol: "tcp", HostPort: 1002, ContainerPort: 1, HostAddress: netip.MustParseAddr("192.0.2.1")},
		})
		return err
	})
	for _, want := range []string{"publish 1001/tcp: the host port is taken", "publish 1001/udp: the host port is taken", "publish 192.0.2.1:1002/tcp: the host does not have that address"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if !errdefs.IsAlreadyExists(err) {
		t.Errorf("got %v, want errdefs.ErrAlreadyExists", err)
	}
	in(t, w.host, func() (net.Listener, error) { return net.Listen("tcp", ":1000") }).Close()
}

// serveDatagrams answers what comes to port 2000 of the sandbox with the port that
// it comes from.
func (w world) serveDatagrams(t *testing.T) {
	t.Helper()
	c := in(t, w.sandbox, func() (net.PacketConn, error) { return net.ListenPacket("udp", ":2000") })
	t.Cleanup(func() { c.Close() })
	go func() {
		buffer := make([]byte, maxDatagram)
		for {
			_, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			c.WriteTo([]byte(from.String()), from)
		}
	}()
}

// ask sends until there is an answer, and returns who the server says asked.
func ask(t *testing.T, c net.Conn) string {
	t.Helper()
	buffer := make([]byte, 128)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c.Write([]byte("?"))
		c.SetReadDeadline(time.Now().Add(5 * time.Second)) // one that is asked again too early answers the next question
		if n, err := c.Read(buffer); err == nil {
			return string(buffer[:n])
		}
	}
	t.Fatalf("no answer from %v", c.RemoteAddr())
	return ""
}

// Answers come from the address that was asked, or a client would not take them;
// one client keeps its session, and another one has another.
func TestDatagramSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveDatagrams(t)
	w.forward(t, "udp")
	seen := map[string]bool{}
	for _, address := range []string{"127.0.0.1:1000", "127.0.0.2:1000", "[::1]:1000", "127.0.0.1:1000"} {
		c := w.call(t, "udp", address)
		first := ask(t, c)
		if second := ask(t, c); first != second || seen[first] {
			t.Errorf("%s: asked as %s and then as %s, want the same and unlike %v", address, first, second, seen)
		}
		seen[first] = true
	}
}

// Sessions end when both sides are silent, and the one silent for longest ends
// when there are too many.
func TestDatagramSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveDatagrams(t)
	s := w.forward(t, "udp")
	d := s.datagrams[0]
	const most = 4
	d.mu.Lock()
	d.most = most
	d.mu.Unlock()
	count := func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.order.Len()
	}
	first := w.call(t, "udp", "127.0.0.1:1000")
	before := ask(t, first)
	for range most {
		ask(t, w.call(t, "udp", "127.0.0.1:1000"))
	}
	if got := count(); got != most {
		t.Errorf("got %d sessions, want %d", got, most)
	}
	if after := ask(t, first); after == before {
		t.Errorf("the first session goes on as %s, want it to have ended", after)
	}
	d.mu.Lock()
	longest := d.order.Front().Value.(*session)
	longest.heard.Store(time.Now().Add(-2 * sessionIdle).UnixNano())
	longest.server.SetReadDeadline(time.Now())
	d.mu.Unlock()
	eventually(t, func() error {
		if got := count(); got != most-1 {
			return fmt.Errorf("got %d sessions, want %d", got, most-1)
		}
		return nil
	})
}

// eventually checks again and again until the answer is nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
