package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"patchbay.dev/patchbay/internal/fastpath"
	"patchbay.dev/patchbay/internal/link"
	"patchbay.dev/patchbay/internal/link/ports"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/networkplugin"
)

// maxAddresses is room for one of each family for all ports.
const maxAddresses = 2 * (maxPorts + 1)

// shortcut is the fast path of a network, which is there from its second port on, or its first
// published one: a port alone has nobody but the host to send to. Nothing depends on it but speed:
// a fault of it is logged, and said by Explain.
type shortcut struct {
	bridge string
	log    *slog.Logger
	host   *netns.Namespace // nil: the process's

	mu    sync.Mutex
	at    fastpath.Bridge          // guarded by mu; set by begin
	ports map[string]fastpath.Port // admitted, by name; without index: not up; guarded by mu
	path  *fastpath.Path           // guarded by mu; nil: none
	off   string                   // why there is none; guarded by mu
	news  *ports.News              // guarded by mu; nil: they are not told
	// gathers says that news are gathered: while one of several admitted ports is not known to
	// be up; guarded by mu.
	gathers bool
	links   *link.Handle // guarded by mu; set by begin
	// published says that a port was published, which makes the first one worth a fast path;
	// guarded by mu.
	published bool
}

func newShortcut(host *netns.Namespace, bridge string, on bool, log *slog.Logger) *shortcut {
	s := &shortcut{bridge: bridge, log: log, host: host, ports: map[string]fastpath.Port{}}
	if !on {
		s.off = "option " + optionFastPath + " is off"
	}
	return s
}

// begin watches for ports that come up, until ctx ends. Those that are up already have
// been adopted.
func (s *shortcut) begin(ctx context.Context, links *link.Handle, background *sync.WaitGroup) {
	s.mu.Lock()
	off := s.off
	s.mu.Unlock()
	if off != "" {
		return
	}
	bridge, err := links.Interface(s.bridge)
	if err != nil {
		s.fail(err)
		return
	}
	news, err := ports.Watch(s.host, bridge.Index)
	if err != nil {
		s.fail(err)
		return
	}
	s.mu.Lock()
	s.at, s.news, s.links = fastpath.Bridge{Index: bridge.Index, MAC: bridge.MAC}, &news, links
	s.mu.Unlock()
	background.Go(func() { news.Tell(ctx, s.up, func() { s.catchUp(links) }) })
}

// adopt knows the ports that an earlier process left, and takes them and the bridge off
// its fast path: its map has addresses that this one could not take out.
func (s *shortcut) adopt(links *link.Handle, left map[string]fastpath.Port) error {
	bridge, err := links.Interface(s.bridge)
	if err != nil {
		return err
	}
	present, err := links.Ports(s.bridge)
	if err != nil {
		return err
	}
	errs := []error{inside(s.host, func() error { return fastpath.Detach(bridge.Index) })}
	for _, p := range present {
		errs = append(errs, inside(s.host, func() error { return fastpath.Detach(p.Index) }))
	}
	if err := errors.Join(errs...); err != nil {
		s.fail(err)
	}
	s.mu.Lock()
	for name, p := range left {
		s.ports[name] = p
	}
	s.gather()
	s.mu.Unlock()
	s.catchUp(links) // with those that came up since
	return nil
}

// worth tells whether so many ports have a fast path. It is called with mu held.
func (s *shortcut) worth(ports int) bool { return ports > 1 || ports == 1 && s.published }

// gather has news gathered while they are waited for: of a port alone nobody wants to know. It
// is called with mu held.
func (s *shortcut) gather() {
	wanted := false
	for _, p := range s.ports {
		wanted = wanted || p.Index == 0 && s.off == "" && s.worth(len(s.ports))
	}
	if s.news == nil || wanted == s.gathers {
		return
	}
	if err := s.news.Gather(wanted); err != nil {
		s.log.Warn("some ports are not on the fast path", "error", err)
	}
	s.gathers = wanted
}

// catchUp looks for ports whose news were lost.
func (s *shortcut) catchUp(links *link.Handle) {
	present, err := links.Ports(s.bridge)
	if err != nil {
		s.log.Warn("some ports are not on the fast path", "error", err)
		return
	}
	for _, p := range present {
		s.up(p.Name, p.Index)
	}
}

// admit expects a port to come up, unless it is.
func (s *shortcut) admit(name string, p fastpath.Port) {
	if links, missed := s.expect(name, p); missed {
		s.catchUp(links)
	}
}

// expect is admit but for another port, whose news were missed while it was alone.
func (s *shortcut) expect(name string, p fastpath.Port) (links *link.Handle, missed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.ports[name]; known {
		return nil, false
	}
	for _, other := range s.ports {
		missed = missed || other.Index == 0
	}
	s.ports[name] = p
	before := s.gathers
	s.gather()
	return s.links, missed && s.gathers && !before
}

// publish has the first port on the fast path too, from the first call on. Nobody waits for it.
func (s *shortcut) publish(background *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.published || s.off != "" || s.links == nil {
		return
	}
	s.published = true
	s.gather()
	if links := s.links; s.path == nil {
		background.Go(func() { s.catchUp(links) })
	}
}

// up puts an admitted port on the fast path.
func (s *shortcut) up(name string, index int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, admitted := s.ports[name]
	if !admitted || s.off != "" || p.Index == index && s.path != nil {
		return
	}
	p.Index = index
	s.ports[name] = p
	s.gather()
	if err := inside(s.host, func() error { return s.join(p) }); err != nil {
		s.disable(err)
	}
}

// join puts the port on the fast path, and makes it with the first one that is worth it. It is
// called with mu held.
func (s *shortcut) join(p fastpath.Port) error {
	if s.path != nil {
		return s.path.Join(p)
	}
	var up []fastpath.Port
	for _, other := range s.ports {
		if other.Index != 0 {
			up = append(up, other)
		}
	}
	if !s.worth(len(up)) {
		return nil
	}
	path, err := fastpath.Open(maxAddresses, s.at)
	if err != nil {
		return err
	}
	s.path = path
	for _, each := range up {
		if err := path.Join(each); err != nil {
			return err
		}
	}
	return nil
}

// revoke takes a port off the fast path: nothing from or to it goes there any more.
func (s *shortcut) revoke(name string, p fastpath.Port) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, name)
	s.gather()
	if s.path == nil {
		return nil
	}
	err := s.path.Leave(p.Addresses)
	if len(s.ports) == 0 {
		err = errors.Join(err, s.withdraw())
	}
	return err
}

// carries tells whether the port is on the fast path, and if not, why.
func (s *shortcut) carries(name string) (on bool, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p := s.ports[name]; {
	case s.off != "":
		return false, s.off
	case s.path == nil || p.Index == 0:
		return false, "no two ports of the network are up, and none is published"
	case p.Shaped:
		return false, "rate-out is held where they would pass by"
	}
	return true, ""
}

// fail ends the use of the fast path.
func (s *shortcut) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disable(err)
}

// disable takes all ports off, whose packets go by the bridge again. It is called with mu
// held.
func (s *shortcut) disable(err error) {
	s.log.Info("there is no fast path between containers; the bridge has all packets", "error", err)
	s.off = fmt.Sprintf("it cannot be had: %v", err)
	s.gather()
	if s.path == nil {
		return
	}
	for _, p := range s.ports {
		err = errors.Join(err, s.path.Leave(p.Addresses))
	}
	if err := s.withdraw(); err != nil {
		s.log.Warn("the fast path is not given back", "error", err)
	}
}

// inside runs f in a namespace, or where that is nil in the process's.
func inside(host *netns.Namespace, f func() error) error {
	if host == nil {
		return f()
	}
	return host.Do(f)
}

// withdraw ends the fast path for the bridge, which no port takes along. It is called with
// mu held.
func (s *shortcut) withdraw() error {
	err := inside(s.host, func() error { return fastpath.Detach(s.at.Index) })
	return errors.Join(err, s.close())
}

// close lets go of what lives on in the kernel. It is called with mu held.
func (s *shortcut) close() error {
	if s.path == nil {
		return nil
	}
	err := s.path.Close()
	s.path = nil
	return err
}

// end lets go of the fast path, which stays in the kernel with the ports.
func (s *shortcut) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.ports)
	return s.close()
}

func fastPort(p networkplugin.Port) fastpath.Port {
	return fastpath.Port{MAC: p.Attachment.MACAddress, Addresses: addressesOf(p), Shaped: p.Attachment.RateOut != 0}
}
