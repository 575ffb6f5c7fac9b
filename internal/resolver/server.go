package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/resource"
)

// Bounds of what one container can make its resolver do. What is beyond them is
// answered with a failure, or waits.
const (
	maxQueries     = 256 // at work at the same time
	maxConnections = 32  // by TCP
	queryTimeout   = 4500 * time.Millisecond
	// packetTimeout is how long the server waits for a packet until it looks again,
	// which wakes a process that may have nothing else to do.
	packetTimeout = 24 * time.Hour
)

// Address is where a resolver listens, by UDP and TCP.
var Address = netip.AddrPortFrom(resource.ResolverAddress, serverPort)

// Sockets are the sockets of a resolver.
type Sockets struct {
	Packet net.PacketConn
	Stream net.Listener
}

// Listen opens the sockets in the network namespace of the calling thread. An
// address that somebody has already is an error that says so.
//
// They may be shared (SO_REUSEPORT of socket(7)): a name server in the container
// that listens on all addresses, and may share too, gets all queries but those
// to the resolver's address.
func Listen() (Sockets, error) {
	at := Address.String()
	config := net.ListenConfig{Control: share}
	packet, err := config.ListenPacket(context.Background(), "udp4", at)
	if err != nil {
		return Sockets{}, fmt.Errorf("resolver: %w", err)
	}
	stream, err := config.Listen(context.Background(), "tcp4", at)
	if err != nil {
		_ = packet.Close()
		return Sockets{}, fmt.Errorf("resolver: %w", err)
	}
	return Sockets{Packet: packet, Stream: stream}, nil
}

func share(_, _ string, c syscall.RawConn) error {
	var err error
	failed := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		)
	})
	return errors.Join(failed, err)
}

// View is all that one container can know by name. A view is not changed once
// it is in use.
type View struct {
	Networks []*Network // the addresses on the first come first
	Upstream Upstream   // for other names; nil: there are none
}

// Server answers one container.
type Server struct {
	log     *slog.Logger
	servers [2]*dns.Server
	running sync.WaitGroup
	places  chan struct{} // one for each query at work
	life    context.Context
	end     context.CancelFunc

	view atomic.Pointer[View]
	turn atomic.Uint64
}

// Serve begins to answer on sockets, which are its own from now on, until Close.
func Serve(sockets Sockets, v View, log *slog.Logger) *Server {
	s := newServer(v, log)
	handler := dns.HandlerFunc(s.serve)
	s.servers = [2]*dns.Server{
		{PacketConn: sockets.Packet, UDPSize: udpSize, Handler: handler, MsgAcceptFunc: acceptAll, ReadTimeout: packetTimeout},
		{Listener: netutil.LimitListener(sockets.Stream, maxConnections), Handler: handler, MsgAcceptFunc: acceptAll},
	}
	for _, server := range s.servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		s.running.Go(func() {
			if err := server.ActivateAndServe(); err != nil && s.life.Err() == nil && !errors.Is(err, net.ErrClosed) {
				s.log.Error("resolver ended", "error", err)
			}
		})
		<-started // before that it cannot be stopped
	}
	return s
}

func newServer(v View, log *slog.Logger) *Server {
	s := &Server{log: log, places: make(chan struct{}, maxQueries)}
	s.life, s.end = context.WithCancel(context.Background())
	s.view.Store(&v)
	return s
}

// acceptAll leaves it to refusal to say what is no query; an answer is dropped,
// else two servers could answer each other for ever.
func acceptAll(h dns.Header) dns.MsgAcceptAction {
	const response = 1 << 15
	if h.Bits&response != 0 {
		return dns.MsgIgnore
	}
	return dns.MsgAccept
}

// Set replaces what the container can know, from the next query on.
func (s *Server) Set(v View) { s.view.Store(&v) }

// Close stops and closes the sockets. Queries at work are cut short.
func (s *Server) Close() error {
	s.end()
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown())
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// serve answers one query.
func (s *Server) serve(w dns.ResponseWriter, query *dns.Msg) {
	_, datagram := w.LocalAddr().(*net.UDPAddr)
	answer, err := s.answer(query, datagram)
	if err == nil {
		_, err = w.Write(answer)
	}
	if err != nil && s.life.Err() == nil {
		s.log.Debug("query not answered", "error", err)
	}
}

// answer returns the packed answer, cut to what the client takes (RFC 2181
// section 9, RFC 6891 section 6.2.3).
func (s *Server) answer(query *dns.Msg, datagram bool) ([]byte, error) {
	answer := s.bounded(query)
	size := dns.MaxMsgSize
	if datagram {
		size = dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
	}
	answer.Truncate(size)
	packed, err := answer.Pack()
	if err != nil { // of a name server, or a name that is none
		return failure(query, dns.RcodeServerFailure).Pack()
	}
	return packed, nil
}

func (s *Server) bounded(query *dns.Msg) *dns.Msg {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return failure(query, dns.RcodeServerFailure)
	}
	ctx, cancel := context.WithTimeout(s.life, queryTimeout)
	defer cancel()
	return s.respond(ctx, query)
}
