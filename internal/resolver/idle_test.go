package resolver

import (
	"log/slog"
	"net"
	"testing"
	"time"
)

// patient is a socket that tells how long its reader is ready to wait.
type patient struct {
	net.PacketConn
	waits chan time.Duration
}

func (p patient) SetReadDeadline(at time.Time) error {
	select {
	case p.waits <- time.Until(at):
	default:
	}
	return p.PacketConn.SetReadDeadline(at)
}

// TestIdle: a resolver that nobody asks does nothing. There is one for each container.
func TestIdle(t *testing.T) {
	t.Parallel()
	packet, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := patient{packet, make(chan time.Duration, 1)}
	s := Serve(Sockets{Packet: p, Stream: stream}, View{}, slog.New(slog.DiscardHandler))
	defer s.Close()
	if wait := <-p.waits; wait < time.Hour {
		t.Errorf("looks again after %v when no packet has come", wait)
	}
}
