package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/mdlayher/vsock"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/runtime/vm/channel"
	"patchbay.dev/patchbay/internal/runtime/vm/early"
	"patchbay.dev/patchbay/internal/runtime/vm/kernel"
	"patchbay.dev/patchbay/resource"
)

func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// roads is a listener to which connections come from guests.
type roads struct{ coming chan net.Conn }

func newRoads() *roads { return &roads{coming: make(chan net.Conn, 4)} }

func (r *roads) Accept() (net.Conn, error) {
	if c, ok := <-r.coming; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (r *roads) Close() error {
	defer func() { _ = recover() }() // closed already
	close(r.coming)
	return nil
}

func (r *roads) Addr() net.Addr { return &vsock.Addr{ContextID: vsock.Host, Port: 4021} }

// from is the guest's end of a connection that comes from a guest.
func (r *roads) from(cid uint32) net.Conn {
	host, guest := net.Pipe()
	r.coming <- &addressed{Conn: host, from: &vsock.Addr{ContextID: cid, Port: 99}}
	return guest
}

type addressed struct {
	net.Conn
	from net.Addr
}

func (a *addressed) RemoteAddr() net.Addr { return a.from }

var driven = kernel.Kernel{Extras: map[string][]string{early.DriverSockets: nil}}

func TestChoose(t *testing.T) {
	t.Parallel()
	absent := fmt.Errorf("there is no %s: %w", Device, errdefs.ErrFailedPrecondition)
	for name, tt := range map[string]struct {
		wish   resource.MachineChannel
		kernel kernel.Kernel
		fault  error
		socket bool
		reason string // or the error
	}{
		"auto":                         {resource.ChannelAuto, driven, nil, true, Device + " opens"},
		"auto, host without":           {resource.ChannelAuto, driven, absent, false, "there is no " + Device},
		"auto, guest without":          {resource.ChannelAuto, kernel.Kernel{}, nil, false, "the guest's kernel, as it was set, has no driver " + early.DriverSockets},
		"vsock":                        {resource.ChannelVsock, driven, nil, true, "chosen by vm.channel"},
		"vsock, host without":          {resource.ChannelVsock, driven, absent, false, "vm.channel is vsock, but there is no " + Device},
		"vsock, guest without":         {resource.ChannelVsock, kernel.Kernel{}, nil, false, "vm.channel is vsock, but the guest's kernel"},
		"serial, though there is more": {resource.ChannelSerial, driven, nil, false, "chosen by vm.channel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened := false
			c := Chooser{Wish: tt.wish, Kernel: tt.kernel, Open: func() (*Endpoint, error) {
				if opened = tt.fault == nil; !opened {
					return nil, tt.fault
				}
				return &Endpoint{File: null(t), CID: 77777, listener: newRoads()}, nil
			}}
			way, err := c.Choose()
			if strings.HasPrefix(tt.reason, "vm.channel is") {
				if !errdefs.IsFailedPrecondition(err) || !strings.HasPrefix(err.Error(), tt.reason) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %q", err, tt.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := way.Sockets(); (s != nil) != tt.socket || opened != tt.socket || s != nil && s.CID != 77777 || !strings.HasPrefix(way.reason, tt.reason) {
				t.Errorf("sockets %+v, opened %v, reason %q", s, opened, way.reason)
			}
			if kind, _, _ := strings.Cut(way.String(), ": "); (kind == "vsock") != tt.socket {
				t.Errorf("told as %q", way)
			}
			way.Close()
			way.Close() // once more is nothing
			if way.Sockets() != nil {
				t.Error("sockets after Close")
			}
		})
	}
}

// The kernel says which ids are taken, and the file is what has one.
func TestLend(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []error // of the kernel; the last one again and again
		want    uint32  // 0: refused
		tried   int
	}{
		"the first is free":  {[]error{nil}, 100, 1},
		"two are taken":      {[]error{unix.EADDRINUSE, unix.EADDRINUSE, nil}, 102, 3},
		"all are taken":      {[]error{unix.EADDRINUSE}, 0, maxAttempts},
		"not such a device":  {[]error{unix.ENOTTY}, 0, 1},
		"taken, then broken": {[]error{unix.EADDRINUSE, unix.EFAULT}, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := null(t)
			var tried []uint32
			next := uint32(99)
			got, cid, err := lend(
				func() (*os.File, error) { return file, nil },
				func(f *os.File, cid uint32) error {
					tried = append(tried, cid)
					return tt.answers[min(len(tried), len(tt.answers))-1]
				},
				func() uint32 { next++; return next },
			)
			if len(tried) != tt.tried || !slices.IsSorted(tried) || cid != tt.want {
				t.Errorf("id %d after %v, %v", cid, tried, err)
			}
			if tt.want != 0 {
				if err != nil || got != file {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), Device+": no context id for the guest") {
				t.Errorf("got %v", err)
			}
			if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
				t.Error("the file is left open")
			}
		})
	}
	if err := setCID(null(t), 100); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("what is no such device: %v", err)
	}
}

// What runs in a guest, up to where a session begins.
func guest(t *testing.T, port io.ReadWriteCloser, dial func(uint32) (net.Conn, error)) {
	t.Helper()
	go func() {
		s, err := channel.Accept(port, dial)
		if err != nil {
			return
		}
		stream, err := s.Accept()
		if err == nil {
			_, _ = io.Copy(stream, stream)
			_ = stream.Close()
		}
	}()
}

func TestConnect(t *testing.T) {
	t.Parallel()
	const cid = 77777
	without := func(*roads) (net.Conn, error) { return nil, errors.New("no such device came") }
	// Others come first: another guest, and a process of the host.
	with := func(r *roads) (net.Conn, error) {
		r.from(cid + 1)
		r.from(vsock.Local)
		return r.from(cid), nil
	}
	for name, tt := range map[string]struct {
		socket, wanted bool
		dial           func(*roads) (net.Conn, error)
		want           resource.ChannelStatus
		fault          string
	}{
		"no socket":                      {false, false, nil, resource.ChannelStatus{Channel: resource.ChannelSerial, Reason: "so"}, ""},
		"a socket":                       {true, false, with, resource.ChannelStatus{Channel: resource.ChannelVsock, Reason: "so"}, ""},
		"the guest cannot":               {true, false, without, resource.ChannelStatus{Channel: resource.ChannelSerial, Reason: "agent in the guest: the guest cannot connect to the host: no such device came"}, ""},
		"the guest cannot, and is to do": {true, true, without, resource.ChannelStatus{}, "vm.channel is vsock, but agent in the guest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, guestPort := net.Pipe()
			way := &Way{wanted: tt.wanted, reason: "so"}
			r := newRoads()
			if tt.socket {
				way.endpoint = &Endpoint{File: null(t), CID: cid, listener: r}
			}
			guest(t, guestPort, func(number uint32) (net.Conn, error) {
				if number != 4021 {
					return nil, fmt.Errorf("port %d", number)
				}
				return tt.dial(r)
			})
			session, status, err := way.Connect(t.Context(), port)
			way.Close()
			if status != tt.want || (err == nil) != (tt.fault == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.fault) || !errdefs.IsFailedPrecondition(err)) {
				t.Fatalf("got %+v, %v", status, err)
			}
			if err != nil {
				return
			}
			defer session.Close()
			stream, err := session.Open()
			if err != nil {
				t.Fatal(err)
			}
			said := make([]byte, 5)
			if _, err := fmt.Fprint(stream, "hello"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(stream, said); err != nil || string(said) != "hello" {
				t.Errorf("got %q, %v", said, err)
			}
		})
	}
}

func TestAcceptEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := &Endpoint{File: null(t), CID: 77777, listener: newRoads()}
	if _, err := e.accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
