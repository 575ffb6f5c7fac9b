//go:build integration

package tapstream_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
	"patchbay.dev/patchbay/internal/tapstream"
)

const soon = 2 * time.Minute

// pumped is a namespace with the tap "eth0", and the other side of its pump.
type pumped struct {
	ns       *netns.Namespace
	listener net.Listener
	pump     *tapstream.Pump
}

func newPumped(t *testing.T) pumped {
	t.Helper()
	ns := netnstest.New(t)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tap, err := link.AddTap(link.Peer{Namespace: ns, Name: "eth0", MAC: "02:00:00:00:00:02", MTU: 1400})
	if err != nil {
		t.Fatal(err)
	}
	pump, err := tapstream.NewPump(t.Context(), tap, socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pump.Close)
	have, err := netnstest.Link(t, ns).Interface("eth0")
	if err != nil || have.MAC != "02:00:00:00:00:02" || have.MTU != 1400 {
		t.Fatalf("interface: %+v, %v", have, err)
	}
	if err := netnstest.Link(t, ns).Configure("eth0", []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24")}, nil); err != nil {
		t.Fatal(err)
	}
	return pumped{ns, l, pump}
}

func (p pumped) accept(t *testing.T) net.Conn {
	t.Helper()
	c, err := p.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ended waits until the pump has closed a stream.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the stream goes on: %v", err)
	}
}

// What a namespace sends comes out, also over a stream that takes the place of a
// broken one, and what goes in is heard.
func TestPump(t *testing.T) {
	t.Parallel()
	p := newPumped(t)
	wire := netnstest.OpenWire(t, p.ns, "eth0")
	for _, text := range []string{"first stream", "second stream"} {
		c := p.accept(t)
		frame := append([]byte{2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, text...) // type of local experiments
		if err := wire.Send(frame); err != nil {
			t.Fatal(err)
		}
		for frames := tapstream.NewReader(c); ; {
			got, err := frames.Next()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got, frame) {
				break
			}
		}
		if _, err := c.Write(framed([]byte("short"), frame)); err != nil {
			t.Fatal(err)
		}
		heard, err := wire.Await(func(got []byte) bool { return bytes.Equal(got, frame) }, soon)
		if err != nil || !heard {
			t.Errorf("%s: heard %t, %v", text, heard, err)
		}
		c.Close()
	}
}

func TestPumpEnds(t *testing.T) {
	t.Parallel()
	t.Run("with its interface", func(t *testing.T) {
		t.Parallel()
		p := newPumped(t)
		c := p.accept(t)
		if err := netnstest.Link(t, p.ns).Delete("eth0"); err != nil {
			t.Fatal(err)
		}
		ended(t, c)
	})
	t.Run("while the other side does not read", func(t *testing.T) {
		t.Parallel()
		p := newPumped(t)
		c := p.accept(t)
		wire := netnstest.OpenWire(t, p.ns, "eth0")
		frame := append([]byte{2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, make([]byte, 1300)...)
		for range 2000 { // more than the tap and the stream have room for
			_ = wire.Send(frame)
		}
		p.pump.Close()
		if _, err := netnstest.Link(t, p.ns).Interface("eth0"); err == nil {
			t.Error("the interface is still there")
		}
		ended(t, c)
	})
	t.Run("while nobody is there", func(t *testing.T) {
		t.Parallel()
		p := newPumped(t)
		p.accept(t).Close()
		p.listener.Close()
		p.pump.Close()
	})
}
