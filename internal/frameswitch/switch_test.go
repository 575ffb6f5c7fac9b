package frameswitch_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/frameswitch"
	"patchbay.dev/patchbay/internal/tapstream"
)

const soon = 5 * time.Minute

var (
	everybody = frameswitch.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	router    = frameswitch.MAC{2, 0, 0, 0, 0, 1}
)

// station is a container at a port.
type station struct {
	t       *testing.T
	number  byte
	port    frameswitch.Port
	stream  net.Conn
	frames  *tapstream.Reader
	address netip.Addr
}

func mac(number byte) frameswitch.MAC { return frameswitch.MAC{2, 0, 0, 0, 0, number} }

// newSwitch returns a switch whose router gives out what it gets.
func newSwitch(t *testing.T) (*frameswitch.Switch, chan []byte) {
	t.Helper()
	got := make(chan []byte, 16)
	s := frameswitch.New(frameswitch.Config{
		Router: func(frame []byte) { got <- bytes.Clone(frame) }, RouterMAC: router, Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.Close)
	return s, got
}

func addStation(t *testing.T, s *frameswitch.Switch, number byte) *station {
	t.Helper()
	address := netip.AddrFrom4([4]byte{10, 9, 0, number})
	out := &station{t: t, number: number, address: address, port: frameswitch.Port{
		Socket: filepath.Join(t.TempDir(), "s"), Sender: frameswitch.Sender{MAC: mac(number), IPv4: address},
	}}
	if err := s.Add(out.port); err != nil {
		t.Fatal(err)
	}
	out.connect()
	return out
}

func (s *station) connect() {
	s.t.Helper()
	c, err := net.Dial("unix", s.port.Socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		s.t.Fatal(err)
	}
	s.stream, s.frames = c, tapstream.NewReader(c)
}

// frame is a packet of IPv4 with a text.
func frame(to, from frameswitch.MAC, source netip.Addr, text string) []byte {
	f := append(append(to[:], from[:]...), 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 253, 0, 0) // protocol of experiments
	return append(append(append(f, source.AsSlice()...), 10, 9, 0, 99), text...)
}

func (s *station) send(f []byte) {
	s.t.Helper()
	header := make([]byte, tapstream.HeaderLength)
	tapstream.PutHeader(header, len(f))
	if _, err := s.stream.Write(append(header, f...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) say(to frameswitch.MAC, text string) []byte {
	s.t.Helper()
	f := frame(to, mac(s.number), s.address, text)
	s.send(f)
	return f
}

// greet waits until the station is connected: the router has heard of it.
func (s *station) greet(atRouter <-chan []byte) {
	s.t.Helper()
	if f := s.say(router, "hello"); !bytes.Equal(<-atRouter, f) {
		s.t.Error("the router heard something else")
	}
}

// hear wants a frame to be the next one.
func (s *station) hear(want []byte) {
	s.t.Helper()
	got, err := s.frames.Next()
	if err != nil || !bytes.Equal(got, want) {
		s.t.Errorf("station %d heard %q, %v; want %q", s.number, got, err, want)
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	s, atRouter := newSwitch(t)
	a, b, c := addStation(t, s, 2), addStation(t, s, 3), addStation(t, s, 4)
	for _, station := range []*station{a, b, c} {
		station.greet(atRouter)
	}

	b.hear(a.say(mac(3), "to b"))
	a.say(mac(77), "to nobody")
	all := a.say(everybody, "to all")
	b.hear(all)
	c.hear(all)
	if !bytes.Equal(<-atRouter, all) {
		t.Error("the router heard something else")
	}

	// Nothing but what is its own gets through: not to a neighbour, nor to all, nor to the router.
	for _, to := range []frameswitch.MAC{mac(3), everybody, router} {
		a.send(frame(to, mac(4), a.address, "by another's mac"))
		a.send(frame(to, mac(2), c.address, "by another's address"))
	}
	b.hear(a.say(mac(3), "honest"))
	if f := a.say(router, "honest"); !bytes.Equal(<-atRouter, f) {
		t.Error("the router heard something else")
	}

	answer := frame(mac(3), router, netip.MustParseAddr("192.0.2.1"), "answer")
	s.Send(mac(3), answer[:14], answer[14:])
	b.hear(answer)

	s.Remove(mac(3))
	s.Remove(mac(3))
	if _, err := b.frames.Next(); err == nil {
		t.Error("a removed port still hears something")
	}
	if _, err := os.Stat(b.port.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a removed port: %v", err)
	}
	a.say(mac(3), "to nobody now")
	c.hear(a.say(mac(4), "to c"))
}

// A container that connects again has its port to itself, and one that does not
// read costs the others nothing.
func TestPortsAreApart(t *testing.T) {
	t.Parallel()
	s, atRouter := newSwitch(t)
	a, b := addStation(t, s, 2), addStation(t, s, 3)
	a.say(router, "hello")
	<-atRouter
	before := a.stream
	a.connect()
	if _, err := io.Copy(io.Discard, before); err != nil {
		t.Errorf("the former connection goes on: %v", err)
	}
	a.say(router, "hello")
	<-atRouter

	b.say(router, "hello")
	<-atRouter
	long := make([]byte, 60000)
	for range 100 { // more than there is room for
		a.say(mac(3), string(long))
	}
	if f := a.say(router, "done"); !bytes.Equal(<-atRouter, f) {
		t.Error("the router heard something else")
	}

	if err := s.Add(a.port); err != nil {
		t.Errorf("the same port again: %v", err)
	}
	other := a.port
	other.Socket += "2"
	if err := s.Add(other); !errdefs.IsAlreadyExists(err) {
		t.Errorf("another port with the mac address: %v", err)
	}
	other.Sender.MAC, other.Socket = mac(9), filepath.Join(t.TempDir(), "no", "such", "directory")
	if err := s.Add(other); err == nil {
		t.Error("a port without a place for its socket")
	}
}

// A socket whose file is gone is found and made again, and who is connected stays so.
func TestLostSocket(t *testing.T) {
	t.Parallel()
	s, atRouter := newSwitch(t)
	a, b := addStation(t, s, 2), addStation(t, s, 3)
	a.greet(atRouter)
	b.greet(atRouter)
	if lost := s.Lost(); len(lost) != 0 {
		t.Fatalf("lost: %q", lost)
	}
	if err := os.Remove(a.port.Socket); err != nil {
		t.Fatal(err)
	}
	if lost := s.Lost(); !slices.Equal(lost, []string{a.port.Socket}) {
		t.Errorf("lost: %q, want %q", lost, a.port.Socket)
	}
	if err := s.Repair(); err != nil {
		t.Fatal(err)
	}
	if lost := s.Lost(); len(lost) != 0 {
		t.Errorf("lost after the repair: %q", lost)
	}
	b.hear(a.say(mac(3), "as before"))
	a.connect()
	b.hear(a.say(mac(3), "anew"))
	s.Remove(mac(2))
	if _, err := os.Lstat(a.port.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a port that is gone: %v", err)
	}
}
