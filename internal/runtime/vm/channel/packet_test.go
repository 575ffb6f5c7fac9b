package channel

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDatagramsKeepTheirBordersAndAddresses(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	local := netip.MustParseAddrPort("127.0.0.11:53")
	host, guest := NewPacketConn(a, local), NewPacketConn(b, netip.AddrPort{})
	sent := []struct {
		payload string
		from    netip.AddrPort
	}{
		{"one", netip.MustParseAddrPort("127.0.0.1:40000")},
		{"", netip.MustParseAddrPort("[::1]:1")},
		{strings.Repeat("x", maxDatagram), netip.MustParseAddrPort("10.0.0.2:53")},
		{"connected", netip.AddrPort{}},
	}
	go func() {
		for _, s := range sent {
			if _, err := guest.WriteToAddrPort([]byte(s.payload), s.from); err != nil {
				t.Error(err)
			}
		}
		guest.Close()
	}()
	buffer := make([]byte, 1000) // too short for the third
	for _, want := range sent {
		n, from, err := host.ReadFromAddrPort(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if short := want.payload[:min(len(want.payload), len(buffer))]; string(buffer[:n]) != short || from != want.from {
			t.Errorf("got %d bytes from %v, want %d from %v", n, from, len(short), want.from)
		}
	}
	if _, _, err := host.ReadFrom(buffer); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if got := host.LocalAddr().String(); got != local.String() {
		t.Errorf("local address %s, want %v", got, local)
	}
	if _, err := host.WriteTo(make([]byte, maxDatagram+1), net.UDPAddrFromAddrPort(local)); err == nil {
		t.Error("a datagram longer than UDP has was taken")
	}
	if _, err := host.WriteTo(nil, &net.TCPAddr{}); err == nil {
		t.Error("an address of TCP was taken")
	}
}

// A deadline that passes in the middle of a datagram leaves it whole.
func TestDatagramAfterADeadline(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	host := NewPacketConn(a, netip.AddrPort{})
	go func() {
		b.Write([]byte{0, 2}) // returns when it has been read
		host.SetReadDeadline(time.Now())
	}()
	buffer := make([]byte, 8)
	if _, _, err := host.ReadFrom(buffer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("in the middle: %v", err)
	}
	host.SetReadDeadline(time.Time{})
	go b.Write([]byte{0, 'h', 'i'})
	if n, err := host.Read(buffer); err != nil || string(buffer[:n]) != "hi" {
		t.Errorf("got %q, %v", buffer[:n], err)
	}
}

func FuzzPacketConn(f *testing.F) {
	f.Add([]byte{0, 2, 6, 127, 0, 0, 1, 1, 53, 'h', 'i'})
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{0, 0, 2, 53, 0})
	f.Add([]byte{255, 255, 18, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := NewPacketConn(&noisy{Conn: ended{}, noise: bytes.NewReader(data)}, netip.AddrPort{})
		buffer := make([]byte, 64)
		for {
			n, from, err := c.ReadFromAddrPort(buffer)
			if err != nil {
				return
			}
			if n > len(buffer) || from.IsValid() != (from != netip.AddrPort{}) {
				t.Errorf("%d bytes from %v", n, from)
			}
		}
	})
}

// ended is a connection at its end.
type ended struct{ net.Conn }

func (ended) Read([]byte) (int, error) { return 0, io.EOF }
