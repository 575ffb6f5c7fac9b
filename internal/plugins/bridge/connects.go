package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"patchbay.dev/patchbay/internal/fastpath/connect"
	"patchbay.dev/patchbay/internal/link/addresses"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// maxConnects is room for published TCP ports, of each family, and for addresses of the
// host. Further ones are the packet filter's.
const maxConnects = 16 << 10

// connects is the fast path of a network's published ports for programs of the host, which
// is there from the first port on. Nothing depends on it but speed: a fault of it is logged.
type connects struct {
	log  *slog.Logger
	host *netns.Namespace // nil: the process's

	mu     sync.Mutex
	path   *connect.Path             // guarded by mu; nil: none
	off    string                    // why there is none; guarded by mu
	owners map[netip.AddrPort]string // of ports that are on it; guarded by mu
	own    map[netip.Addr]bool       // of the host; guarded by mu
	// unwatch ends the watch over them; guarded by mu, set with path.
	unwatch context.CancelFunc
}

func newConnects(host *netns.Namespace, on bool, log *slog.Logger) *connects {
	c := &connects{log: log, host: host, owners: map[netip.AddrPort]string{}, own: map[netip.Addr]bool{}}
	if !on {
		c.off = "option " + optionFastPath + " is off"
	}
	return c
}

// publish has these and no other ports of an owner on the path.
func (c *connects) publish(owner string, ports []connect.Forward, background *sync.WaitGroup) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[netip.AddrPort]bool{}
	for _, p := range ports {
		wanted[p.Host] = true
	}
	if err := c.withdraw(owner, wanted); err != nil || len(ports) == 0 || c.off != "" {
		return err
	}
	if c.path == nil {
		if err := c.begin(background); err != nil {
			c.off = fmt.Sprintf("it cannot be had: %v", err)
			c.log.Info("connections of the host's programs to published ports are forwarded by the packet filter", "error", err)
			return nil
		}
	}
	for _, p := range ports {
		if err := c.path.Put(p); err != nil {
			c.log.Info("a published port is forwarded by the packet filter alone", "error", err)
			continue
		}
		c.owners[p.Host] = owner
	}
	return nil
}

// withdraw takes the owner's other ports off. It is called with mu held.
func (c *connects) withdraw(owner string, wanted map[netip.AddrPort]bool) error {
	var errs []error
	for port, of := range c.owners {
		if of != owner || wanted[port] {
			continue
		}
		errs = append(errs, c.path.Remove(port))
		delete(c.owners, port)
	}
	return errors.Join(errs...)
}

// begin makes the path and learns the host's addresses. It is called with mu held.
func (c *connects) begin(background *sync.WaitGroup) error {
	err := inside(c.host, func() (err error) { c.path, err = connect.Open(maxConnects); return err })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.unwatch = cancel
	news, err := addresses.Watch(c.host, bridgePrefix)
	if err != nil {
		c.log.Info("published ports at the host's addresses are forwarded by the packet filter", "error", err)
		return nil
	}
	background.Go(func() { news.Tell(ctx, c.replaceOwn, c.changeOwn) })
	return nil
}

// replaceOwn has the path know these and no other addresses of the host.
func (c *connects) replaceOwn(all []netip.Addr, err error) {
	if err != nil {
		c.log.Info("published ports at the host's addresses are forwarded by the packet filter", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := c.own
	c.own = map[netip.Addr]bool{}
	for _, a := range all {
		delete(gone, a)
		c.setOwn(a, true)
	}
	for a := range gone {
		c.setOwn(a, false)
	}
}

func (c *connects) changeOwn(a netip.Addr, here bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setOwn(a, here)
}

// setOwn is called with mu held.
func (c *connects) setOwn(a netip.Addr, here bool) {
	if c.path == nil {
		return // at its end
	}
	var err error
	if here {
		c.own[a] = true
		err = c.path.Own(a)
	} else {
		delete(c.own, a)
		err = c.path.Disown(a)
	}
	if err != nil {
		c.log.Info("published ports at an address of the host are forwarded by the packet filter", "error", err)
	}
}

// end gives the path up, and the watch over the host's addresses.
func (c *connects) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == nil {
		return nil
	}
	c.unwatch()
	err := c.path.Close()
	c.path = nil
	clear(c.owners)
	clear(c.own)
	return err
}

// carried are those of the ports that connections take the path to: TCP, of each family
// that both sides have.
func carried(ports []resource.PublishedPort, a resource.Attachment) (all []connect.Forward) {
	for _, p := range ports {
		if p.Protocol != resource.ProtocolTCP {
			continue
		}
		for _, f := range forwardsOf(p, a) {
			all = append(all, connect.Forward{Host: f.Host, Target: f.Target})
		}
		if p.HostAddress.Is6() && p.HostAddress.IsLoopback() && a.IPv6Address.IsValid() {
			all = append(all, connect.Forward{
				Host:   netip.AddrPortFrom(p.HostAddress, p.HostPort),
				Target: netip.AddrPortFrom(a.IPv6Address.Addr(), p.ContainerPort),
			})
		}
	}
	return all
}
