package main

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/test/probe/form"
)

// patience bounds an exchange when nobody says: longer than a resolver takes to give up on
// a busy machine.
const patience = time.Minute

// exchange says something to somebody and returns the answer.
func exchange(r form.Request) ([]byte, error) {
	within := cmp.Or(r.Within, patience)
	c, err := net.DialTimeout(r.Network, r.Address, within)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	if _, err := c.Write(r.Data); err != nil {
		return nil, err
	}
	if stream, ok := c.(*net.TCPConn); ok {
		if err := stream.CloseWrite(); err != nil {
			return nil, err
		}
		return io.ReadAll(stream)
	}
	answer := make([]byte, 1<<16)
	n, err := c.Read(answer)
	return answer[:n], err
}

// listen begins to answer callers.
func (p *probe) listen(r form.Request) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if !r.Shared {
			return nil
		}
		failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		if failed != nil {
			return failed
		}
		return err
	}}
	if r.Network == "udp" {
		conn, err := config.ListenPacket(context.Background(), r.Network, r.Address)
		if err == nil {
			go p.answerDatagrams(conn, r)
		}
		return err
	}
	l, err := config.Listen(context.Background(), r.Network, r.Address)
	if err == nil {
		go p.answerCallers(l, r)
	}
	return err
}

func (p *probe) answerCallers(l net.Listener, r form.Request) {
	for {
		c, err := l.Accept()
		if err != nil {
			p.lost(r, err)
			return
		}
		_, err = c.Write(r.Data)
		c.Close()
		if err == nil { // else he is gone
			p.called(r, c.RemoteAddr())
		}
	}
}

func (p *probe) answerDatagrams(conn net.PacketConn, r form.Request) {
	buffer := make([]byte, 1<<16)
	for {
		_, from, err := conn.ReadFrom(buffer)
		if err != nil {
			p.lost(r, err)
			return
		}
		if _, err := conn.WriteTo(r.Data, from); err == nil {
			p.called(r, from)
		}
	}
}

// called tells of a caller. Whoever is not told any more has ended.
func (p *probe) called(r form.Request, from net.Addr) {
	who := netip.MustParseAddrPort(from.String())
	_ = p.say(form.Answer{ID: r.ID, From: netip.AddrPortFrom(who.Addr().Unmap(), who.Port())})
}

func (p *probe) lost(r form.Request, err error) {
	_ = p.say(form.Answer{ID: r.ID, Error: err.Error()})
}
