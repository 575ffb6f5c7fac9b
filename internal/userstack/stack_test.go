package userstack

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/resource"
)

var (
	router    = MAC{2, 0, 0, 0, 0, 1}
	container = MAC{2, 0, 0, 0, 0, 2}
	gateway4  = netip.MustParseAddr("10.9.0.1")
	gateway6  = netip.MustParseAddr("fd09::1")
	address4  = netip.MustParseAddr("10.9.0.2")
	address6  = netip.MustParseAddr("fd09::2")
)

// frames are what a stack has sent.
type frames struct {
	mu  sync.Mutex
	all [][]byte // guarded by mu
}

func (f *frames) send(_ MAC, parts ...[]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, bytes.Join(parts, nil))
}

func (f *frames) take() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// newStack returns a router with one neighbour, which reaches nothing outside.
func newStack(t testing.TB) (*Stack, *frames) {
	t.Helper()
	sent := new(frames)
	s, err := New(Config{
		MAC: "02:00:00:00:00:01", MTU: 1500, Gateways: []netip.Addr{gateway4, gateway6}, Send: sent.send,
		Reach: func(netip.Addr) (netip.Addr, error) { return netip.Addr{}, errdefs.ErrPermissionDenied },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for _, address := range []netip.Addr{address4, address6} {
		if err := s.AddNeighbour(address, container); err != nil {
			t.Fatal(err)
		}
	}
	return s, sent
}

func whoHas(to MAC, target netip.Addr) []byte {
	frame := append(to[:], container[:]...)
	frame = append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, container[:]...), address4.AsSlice()...)
	return append(append(frame, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}

// The router takes packets for all addresses, but says of its own alone that they
// are at its MAC address.
func TestAnswersForItselfAlone(t *testing.T) {
	t.Parallel()
	s, sent := newStack(t)
	all := MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for target, answers := range map[netip.Addr]int{gateway4: 1, address4: 0, netip.MustParseAddr("10.9.0.3"): 0, netip.MustParseAddr("192.0.2.1"): 0} {
		s.Input(whoHas(all, target))
		got := sent.take()
		if len(got) != answers {
			t.Errorf("who has %v: %d answers, want %d", target, len(got), answers)
		}
		for _, frame := range got {
			if MAC(frame) != container || !bytes.Equal(frame[22:28], router[:]) {
				t.Errorf("who has %v: answer %x", target, frame)
			}
		}
	}
	s.Input(whoHas(router, gateway4)[:20])
	if got := sent.take(); len(got) != 0 {
		t.Errorf("answers to half a question: %x", got)
	}
}

// A container's share of connections is its own, and they end with its place on the
// network.
func TestFlows(t *testing.T) {
	t.Parallel()
	s, _ := newStack(t)
	if _, ok := s.begin(netip.MustParseAddr("10.9.0.77")); ok {
		t.Error("a flow of nobody")
	}
	var open []flow
	for range maxFlows {
		f, ok := s.begin(address4)
		if !ok {
			t.Fatalf("refused after %d", len(open))
		}
		open = append(open, f)
	}
	if _, ok := s.begin(address4); ok {
		t.Error("one too many")
	}
	other, ok := s.begin(address6)
	if !ok {
		t.Error("another address has no share")
	}
	open[0].end()
	again, ok := s.begin(address4)
	if !ok {
		t.Error("refused though one has ended")
	}
	open[0] = again
	s.RemoveNeighbour(address4)
	s.RemoveNeighbour(address4)
	if slices.ContainsFunc(open, func(f flow) bool { return f.Err() == nil }) || other.Err() != nil {
		t.Error("want the flows of the removed address ended, and no others")
	}
	for _, f := range append(open, other) {
		f.end()
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{MAC: resource.MACAddress("router")}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("error = %v", err)
	}
}

// No frame of a container breaks the router.
func FuzzInput(f *testing.F) {
	f.Add(whoHas(router, gateway4))
	tcp := append(append(router[:], container[:]...), 8, 0,
		0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 9, 0, 2, 192, 0, 2, 1,
		0x40, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0)
	f.Add(tcp)
	udp := slices.Clone(tcp)
	udp[23] = 17
	f.Add(udp)
	echo := slices.Clone(tcp)
	echo[23], echo[34] = 1, 8
	f.Add(echo)
	v6 := append(append(router[:], container[:]...), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 64)
	v6 = append(append(v6, address6.AsSlice()...), gateway6.AsSlice()...)
	f.Add(append(v6, 128, 0, 0, 0, 0, 1, 0, 1))
	s, sent := newStack(f)
	f.Fuzz(func(_ *testing.T, frame []byte) {
		s.Input(frame)
		sent.take()
	})
}
