//go:build integration

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/test/probe/form"
)

// namespaceOf opens the network namespace of a running container that is made of
// namespaces.
func (h *host) namespaceOf(container string) *netns.Namespace {
	h.t.Helper()
	ns, err := netns.OpenPath(fmt.Sprintf("/proc/%d/ns/net", h.container(container).Status.PID))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ns.Close() })
	return ns
}

// echoCommand is a server in a container that gives back what it gets.
var echoCommand = []string{"nc", "-ll", "-p", "7000", "-e", "/bin/cat"}

// stream is a TCP connection over which lines go back and forth, one after the
// other, until it breaks.
type stream struct {
	connection net.Conn
	rounds     atomic.Int64
	done       chan struct{}
	err        error // set before done is closed
}

// openStream connects from a namespace to an echo server.
func openStream(t *testing.T, ns *netns.Namespace, address netip.Addr) *stream {
	t.Helper()
	return openStreamTo(t, ns, netip.AddrPortFrom(address, 7000).String())
}

// openStreamTo connects to one at another port.
func openStreamTo(t *testing.T, ns *netns.Namespace, to string) *stream {
	t.Helper()
	s := &stream{done: make(chan struct{})}
	eventually(t, settle, func() (err error) { // until the server listens
		return ns.Do(func() (err error) {
			s.connection, err = net.DialTimeout("tcp", to, 10*time.Second)
			return err
		})
	})
	go s.run()
	t.Cleanup(func() {
		s.connection.Close()
		<-s.done
	})
	s.alive(t)
	return s
}

func (s *stream) run() {
	defer close(s.done)
	lines := bufio.NewReader(s.connection)
	for n := 0; ; n++ {
		want := fmt.Sprintf("line %d\n", n)
		s.connection.SetDeadline(time.Now().Add(settle))
		if _, err := io.WriteString(s.connection, want); err != nil {
			s.err = err
			return
		}
		got, err := lines.ReadString('\n')
		if err == nil && got != want {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		if err != nil {
			s.err = err
			return
		}
		s.rounds.Add(1)
	}
}

// alive wants a hundred further lines to come back.
func (s *stream) alive(t *testing.T) {
	t.Helper()
	goal := s.rounds.Load() + 100
	eventually(t, settle, func() error {
		select {
		case <-s.done:
			t.Fatalf("the stream broke after %d lines: %v", s.rounds.Load(), s.err)
		default:
		}
		if s.rounds.Load() < goal {
			return errors.New("the stream stands still")
		}
		return nil
	})
}

// welcome is what a server says that tells where callers come from.
const welcome = "welcome\n"

// visitors are the callers of such a server.
type visitors struct {
	from chan netip.Addr
	wait sync.WaitGroup
}

// newVisitors are those that a probe tells of.
func newVisitors(t *testing.T, answers <-chan form.Answer) *visitors {
	v := &visitors{from: make(chan netip.Addr, 16)}
	done := make(chan struct{})
	v.wait.Go(func() {
		for {
			select {
			case a := <-answers:
				v.from <- a.From.Addr()
			case <-done:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		v.wait.Wait()
	})
	return v
}

func listenVisitors(t *testing.T, ns *netns.Namespace, address string) *visitors {
	t.Helper()
	v := &visitors{from: make(chan netip.Addr, 16)}
	var listener net.Listener
	err := ns.Do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	v.wait.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, welcome)
			c.Close()
			v.from <- netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		v.wait.Wait()
	})
	return v
}

// ping sends one echo request from a container, and says whether an answer
// came within some seconds.
func (h *host) ping(container string, address netip.Addr, seconds int) error {
	h.t.Helper()
	if r := h.try("exec", container, "ping", "-c", "1", "-W", strconv.Itoa(seconds), address.String()); r.code != 0 {
		return fmt.Errorf("no answer: %s", r)
	}
	return nil
}

// mustPing wants the very first echo request to be answered: nothing may have
// to settle.
func (h *host) mustPing(container string, address netip.Addr) {
	h.t.Helper()
	if err := h.ping(container, address, 60); err != nil {
		h.t.Error(err)
	}
}

// cannotPing wants no answer.
func (h *host) cannotPing(container string, address netip.Addr) {
	h.t.Helper()
	if r := h.try("exec", container, "ping", "-c", "1", "-W", "1", address.String()); r.code == 0 {
		h.t.Errorf("want no answer: %s", r)
	}
}
