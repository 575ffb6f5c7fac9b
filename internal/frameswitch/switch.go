package frameswitch

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/errdefs"
)

// Config is what a Switch is made of.
type Config struct {
	// Router takes frames that are for its MAC address or for all; nil: there is none.
	Router func(frame []byte)
	// RouterMAC is the router's address.
	RouterMAC MAC
	Log       *slog.Logger
}

// Switch is a running switch. It must be closed.
type Switch struct {
	config Config

	mu    sync.RWMutex
	ports map[MAC]*port // guarded by mu
}

// Port is a place for one container.
type Port struct {
	Socket string // path of the unix socket that its frames come over
	Sender Sender
}

// New returns a switch without ports.
func New(c Config) *Switch { return &Switch{config: c, ports: map[MAC]*port{}} }

// Add opens a port. One that is open already in the same way stays as it is, and gets
// its socket again if the file is gone; a MAC address that another one has is
// errdefs.ErrAlreadyExists.
func (s *Switch) Add(p Port) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.ports[p.Sender.MAC]; have != nil {
		if have.Port == p {
			return have.repair()
		}
		return fmt.Errorf("port %s: another one has its mac address: %w", p.Socket, errdefs.ErrAlreadyExists)
	}
	opened, err := open(p, s)
	if err != nil {
		return err
	}
	s.ports[p.Sender.MAC] = opened
	return nil
}

// Lost returns the paths of the sockets whose files are gone, sorted: who loses the
// connection cannot connect again.
func (s *Switch) Lost() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var lost []string
	for _, p := range s.ports {
		if p.lost() {
			lost = append(lost, p.Socket)
		}
	}
	slices.Sort(lost)
	return lost
}

// Repair makes the sockets again whose files are gone.
func (s *Switch) Repair() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, p.repair())
	}
	return errors.Join(errs...)
}

// Remove closes the port of a MAC address; there need not be one.
func (s *Switch) Remove(mac MAC) {
	s.mu.Lock()
	p := s.ports[mac]
	delete(s.ports, mac)
	s.mu.Unlock()
	if p != nil {
		p.close()
	}
}

// Close closes all ports.
func (s *Switch) Close() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.ports))
	s.ports = map[MAC]*port{}
	s.mu.Unlock()
	for _, p := range all {
		p.close()
	}
}

// Send gives a frame, in parts, to the port of a MAC address. Nothing of it is kept.
func (s *Switch) Send(to MAC, parts ...[]byte) {
	s.mu.RLock()
	p := s.ports[to]
	s.mu.RUnlock()
	if p != nil {
		p.send(parts...)
	}
}

// forward carries a frame that a port may send. Nothing waits: the queue of a
// container that does not read takes no more, and nobody else is slower for it.
func (s *Switch) forward(from MAC, frame []byte) {
	to := MAC(frame)
	switch {
	case to[0]&1 != 0: // for a group, or for all
		s.flood(from, frame)
	case s.config.Router != nil && to == s.config.RouterMAC:
		s.config.Router(frame)
	default:
		s.Send(to, frame)
	}
}

func (s *Switch) flood(from MAC, frame []byte) {
	s.mu.RLock()
	for mac, p := range s.ports {
		if mac != from {
			p.send(frame)
		}
	}
	s.mu.RUnlock()
	if s.config.Router != nil {
		s.config.Router(frame)
	}
}
