// Package forward holds ports of the host for a sandbox, and passes on what
// comes to them: TCP connections and UDP datagrams, over IPv4 and IPv6. It is
// there for what no packet filter forwards; where one does, its sockets see
// nothing, but keep others off the ports.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"patchbay.dev/patchbay/internal/forward/relay"
	"patchbay.dev/patchbay/resource"
)

// Dial opens a connection from inside of the sandbox; networks are "tcp" and "udp". A
// connection without CloseWrite ends with Close what is written to it alone.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Targets are the addresses that ports are forwarded to. What comes over one
// family goes to the address of the same one, if there is one.
type Targets struct{ IPv4, IPv6 netip.Addr }

// of returns the address for what a client sends.
func (t Targets) of(client netip.Addr) netip.Addr {
	v4 := client.Unmap().Is4()
	if v4 && t.IPv4.IsValid() || !t.IPv6.IsValid() {
		return t.IPv4
	}
	return t.IPv6
}

// Sockets are the ports of a sandbox, taken on the host.
type Sockets struct {
	streams   []*stream
	datagrams []*datagrams
	relay     relay.Relay
	targets   atomic.Pointer[Targets]
	serving   sync.WaitGroup
}

// Listen takes ports, all or none, in the network namespace of the process. Their
// clients wait for Serve. It tells of each port that it cannot have; one that is
// taken is errdefs.ErrAlreadyExists.
func Listen(ports []resource.PublishedPort) (*Sockets, error) {
	s := &Sockets{}
	var faults []error
	for _, p := range ports {
		faults = append(faults, s.add(p))
	}
	if err := errors.Join(faults...); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sockets) add(p resource.PublishedPort) error {
	network, address := p.ListenAddress()
	if p.Protocol == resource.ProtocolUDP {
		d, err := listenDatagrams(network, address, p)
		if err != nil {
			return listenError(p, err)
		}
		s.datagrams = append(s.datagrams, d)
		return nil
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return listenError(p, err)
	}
	s.streams = append(s.streams, &stream{port: p, listener: l.(*net.TCPListener), relay: &s.relay, open: map[net.Conn]bool{}})
	return nil
}

func listenError(p resource.PublishedPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("publish %s: the host port is taken: %w", p.Host(), errdefs.ErrAlreadyExists)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("publish %s: the host does not have that address: %w", p.Host(), errdefs.ErrFailedPrecondition)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("publish %s: the limit of open files is reached: %w", p.Host(), errdefs.ErrResourceExhausted)
	}
	return fmt.Errorf("publish %s: %w", p.Host(), err)
}

// Serve begins to pass on what comes to the ports, until Close.
func (s *Sockets) Serve(t Targets, dial Dial, log *slog.Logger) {
	s.Aim(t)
	connections := make(chan struct{}, maxConnections)
	for _, st := range s.streams {
		s.serving.Go(func() { st.serve(&s.targets, dial, connections, log) })
	}
	for _, d := range s.datagrams {
		s.serving.Go(func() { d.serve(&s.targets, dial, log) })
	}
}

// Aim changes where to; what is open goes on.
func (s *Sockets) Aim(t Targets) { s.targets.Store(&t) }

// Close frees the ports and ends all connections. It may be called again.
func (s *Sockets) Close() {
	for _, st := range s.streams {
		st.close()
	}
	for _, d := range s.datagrams {
		_ = d.conn.Close() // its sessions end with it, and nobody else has it
	}
	s.relay.Close()
	s.serving.Wait()
}
