package forward

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

const (
	// maxSessions bounds the clients of a UDP port: a new one takes the place of
	// the one that was silent for longest.
	maxSessions = 1024
	// sessionIdle is how long both sides may be silent before answers no longer
	// find back; the kernel's own time for such flows (nf_conntrack_udp_timeout_stream).
	sessionIdle = 120 * time.Second
	maxDatagram = 1 << 16
	maxControl  = 128 // bytes of control messages
)

// buffers are for datagrams on their way: few for any number of sessions.
var buffers = sync.Pool{New: func() any { b := make([]byte, maxDatagram); return &b }}

// datagrams is a UDP port.
type datagrams struct {
	port resource.PublishedPort
	conn *net.UDPConn
	idle time.Duration
	most int // sessions

	mu       sync.Mutex
	sessions map[flow]*session // guarded by mu
	order    list.List         // guarded by mu; of *session, the last heard of first
}

// flow is a client together with the address of the host that it sends to, from
// which it wants the answer.
type flow struct {
	client netip.AddrPort
	local  local
}

// session is one client's own socket inside of the sandbox.
type session struct {
	flow
	server net.Conn
	place  *list.Element // guarded by datagrams.mu
	heard  atomic.Int64  // when a datagram last came from either side, in Unix nanoseconds
}

func listenDatagrams(network, address string, p resource.PublishedPort) (*datagrams, error) {
	a, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP(network, a)
	if err != nil {
		return nil, err
	}
	if err := tellLocal(conn); err != nil {
		_ = conn.Close() // nobody has seen it
		return nil, err
	}
	return &datagrams{port: p, conn: conn, idle: sessionIdle, most: maxSessions, sessions: map[flow]*session{}}, nil
}

func (d *datagrams) serve(targets *atomic.Pointer[Targets], dial Dial, log *slog.Logger) {
	var answering sync.WaitGroup
	defer answering.Wait()
	defer d.endAll()
	buffer, control := make([]byte, maxDatagram), make([]byte, maxControl)
	for {
		n, c, _, client, err := d.conn.ReadMsgUDPAddrPort(buffer, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of an answer that its client refused
		}
		f := flow{client, localOf(control[:c])}
		s := d.find(f)
		if s == nil {
			target := netip.AddrPortFrom(targets.Load().of(client.Addr()), d.port.ContainerPort)
			if s, err = d.begin(f, target, dial); err != nil {
				log.Debug("a published port leads nowhere", "port", d.port.Host(), "target", target, "error", err)
				continue
			}
			answering.Go(func() { d.answer(s) })
		}
		_, _ = s.server.Write(buffer[:n]) // a datagram may be lost
	}
}

// find returns the session of a flow, which is heard of now.
func (d *datagrams) find(f flow) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[f]
	if s != nil {
		s.heard.Store(time.Now().UnixNano())
		d.order.MoveToFront(s.place)
	}
	return s
}

func (d *datagrams) begin(f flow, target netip.AddrPort, dial Dial) (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := dial(ctx, "udp", target.String())
	if err != nil {
		return nil, err
	}
	s := &session{flow: f, server: c}
	s.heard.Store(time.Now().UnixNano())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.order.Len() >= d.most {
		d.drop(d.order.Back().Value.(*session))
	}
	s.place = d.order.PushFront(s)
	d.sessions[f] = s
	return s, nil
}

// drop ends a session. d.mu is held.
func (d *datagrams) drop(s *session) {
	if d.sessions[s.flow] == s {
		delete(d.sessions, s.flow)
		d.order.Remove(s.place)
	}
	s.server.Close() // what was sent is sent
}

func (d *datagrams) endAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sessions {
		d.drop(s)
	}
}

// answer takes what comes back to the client, until the session is dropped or
// has been silent for too long.
func (d *datagrams) answer(s *session) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drop(s)
	}()
	for {
		until := time.Unix(0, s.heard.Load()).Add(d.idle)
		if err := s.server.SetReadDeadline(until); err != nil {
			return
		}
		err := receive(s.server, func(datagram []byte) {
			s.heard.Store(time.Now().UnixNano())
			_, _, _ = d.conn.WriteMsgUDPAddrPort(datagram, s.local.control(), s.client) // a datagram may be lost
		})
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			if time.Since(time.Unix(0, s.heard.Load())) >= d.idle {
				return
			}
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EINTR): // nobody listens there now
		case err != nil:
			return
		}
	}
}

// receive passes on a datagram. Where it can it waits for one without a buffer, and
// takes one when it is there.
func receive(c net.Conn, use func([]byte)) error {
	socket, ok := c.(syscall.Conn)
	if !ok {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		n, err := c.Read(*buffer)
		if err == nil {
			use((*buffer)[:n])
		}
		return err
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Read(func(fd uintptr) bool {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		n, err := unix.Read(int(fd), *buffer)
		if errors.Is(err, unix.EAGAIN) {
			return false
		}
		result = err
		if err == nil {
			use((*buffer)[:n])
		}
		return true
	})
	return cmp.Or(err, result)
}
