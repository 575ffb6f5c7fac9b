package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/yamux"
)

const detourPort = 4021

// roads are the ways between a host and a guest: a port, and connections that come to
// the host.
type roads struct {
	port, guestPort net.Conn
	coming          chan net.Conn
}

func newRoads() *roads {
	r := &roads{coming: make(chan net.Conn, 4)}
	r.port, r.guestPort = net.Pipe()
	return r
}

func (r *roads) accept(ctx context.Context) (net.Conn, error) {
	select {
	case c := <-r.coming:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// come is the guest's end of a connection that comes to the host.
func (r *roads) come() net.Conn {
	host, guest := net.Pipe()
	r.coming <- host
	return guest
}

// guest runs the guest's side.
func (r *roads) guest(dial func(uint32) (net.Conn, error)) <-chan *yamux.Session {
	out := make(chan *yamux.Session, 1)
	go func() {
		s, err := Accept(r.guestPort, dial)
		if err != nil {
			s = nil
		}
		out <- s
	}()
	return out
}

// spoken wants a session to carry what is said.
func spoken(t *testing.T, host, guest *yamux.Session) {
	t.Helper()
	go func() {
		stream, err := guest.Accept()
		if err == nil {
			io.Copy(stream, stream)
			stream.Close()
		}
	}()
	stream, err := host.Open()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(stream, "hello")
	said := make([]byte, 5)
	if _, err := io.ReadFull(stream, said); err != nil || string(said) != "hello" {
		t.Errorf("got %q, %v", said, err)
	}
}

func TestTheSessionTakesADetour(t *testing.T) {
	t.Parallel()
	r := newRoads()
	// Somebody who does not know the number, and somebody who goes at once.
	stranger := r.come()
	go io.WriteString(stranger, "HELLO "+protocol+" 1\n")
	stranger2 := r.come()
	go stranger2.Close()
	dialed := make(chan uint32, 1)
	guest := r.guest(func(port uint32) (net.Conn, error) {
		dialed <- port
		stranger.Close()
		return r.come(), nil
	})
	g, err := Greet(t.Context(), r.port)
	if err != nil {
		t.Fatal(err)
	}
	session, err := g.Detour(t.Context(), detourPort, r.accept)
	if err != nil {
		t.Fatal(err)
	}
	if port := <-dialed; port != detourPort {
		t.Errorf("port %d, want %d", port, detourPort)
	}
	spoken(t, session, <-guest)

	// The port ends with the machine, and then the session does, whatever the socket does.
	r.guestPort.Close()
	<-session.CloseChan()
}

func TestWithoutADetourThePortServes(t *testing.T) {
	t.Parallel()
	r := newRoads()
	guest := r.guest(func(uint32) (net.Conn, error) {
		return nil, errors.New("no such device\ncame " + strings.Repeat("x", 3*maxLine))
	})
	g, err := Greet(t.Context(), r.port)
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Detour(t.Context(), detourPort, r.accept)
	if !errors.Is(err, ErrNoDetour) || !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "no such device came xx") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
	session, err := g.Begin()
	if err != nil {
		t.Fatal(err)
	}
	spoken(t, session, <-guest)
}

func TestADetourEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(*roads, context.CancelFunc)
		want error
	}{
		"the machine does":  {func(r *roads, _ context.CancelFunc) { r.guestPort.Close() }, errdefs.ErrUnavailable},
		"the caller does":   {func(_ *roads, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"the guest is mute": {func(r *roads, cancel context.CancelFunc) { r.come(); cancel() }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := newRoads()
			r.guest(func(uint32) (net.Conn, error) {
				tt.end(r, cancel)
				<-ctx.Done()
				return nil, ctx.Err()
			})
			g, err := Greet(ctx, r.port)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Detour(ctx, detourPort, r.accept); !errors.Is(err, tt.want) || errors.Is(err, ErrNoDetour) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
