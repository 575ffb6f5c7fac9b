package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"patchbay.dev/patchbay/internal/fastpath/connect"
	"patchbay.dev/patchbay/internal/link/addresses"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/resource"
)

// maxConnects is room for published TCP ports, of each family, and for addresses of the
// host. Further ones are the packet filter's.
const maxConnects = 16 << 10

// connects is the fast path of a network's published ports for programs of the host. Nobody
// waits until it is there, after the first port was published, and nothing depends on it
// but speed: a fault of it is logged.
type connects struct {
	log  *slog.Logger
	host *netns.Namespace // nil: the process's

	mu     sync.Mutex
	ports  map[netip.AddrPort]led      // all that are wanted; guarded by mu
	owned  map[string][]netip.AddrPort // those that an owner has published; guarded by mu
	path   *connect.Path               // guarded by mu; nil: none
	off    string                      // why there is none; guarded by mu
	own    map[netip.Addr]bool         // addresses of the host; guarded by mu
	cancel context.CancelFunc          // ends what has begun; guarded by mu, nil: nothing has
}

// led is where a port leads, and who has published it last.
type led struct {
	owner  string
	target netip.AddrPort
}

func newConnects(host *netns.Namespace, on bool, log *slog.Logger) *connects {
	c := &connects{log: log, host: host, ports: map[netip.AddrPort]led{}, owned: map[string][]netip.AddrPort{}, own: map[netip.Addr]bool{}}
	if !on {
		c.off = "option " + optionFastPath + " is off"
	}
	return c
}

// publish has these and no other ports of an owner on the path: what is not among them is off
// it when it returns. A port that another owner has published is this one's from then on.
func (c *connects) publish(owner string, ports []connect.Forward, background *sync.WaitGroup) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off != "" {
		return nil
	}
	err := c.withdraw(owner, ports)
	for _, p := range ports {
		c.ports[p.Host] = led{owner, p.Target}
		c.owned[owner] = append(c.owned[owner], p.Host)
		c.put(p.Host)
	}
	if len(ports) > 0 && c.cancel == nil {
		var ctx context.Context
		ctx, c.cancel = context.WithCancel(context.Background())
		background.Go(func() { c.begin(ctx) })
	}
	return err
}

// withdraw takes off what the owner has published, unless it stays. It is called with mu held.
func (c *connects) withdraw(owner string, stay []connect.Forward) error {
	var errs []error
	for _, port := range c.owned[owner] {
		stays := slices.ContainsFunc(stay, func(f connect.Forward) bool { return f.Host == port })
		if stays || c.ports[port].owner != owner {
			continue
		}
		delete(c.ports, port)
		if c.path != nil {
			errs = append(errs, c.path.Remove(port))
		}
	}
	delete(c.owned, owner)
	return errors.Join(errs...)
}

// put has a port that is wanted on the path, if there is one. It is called with mu held.
func (c *connects) put(port netip.AddrPort) {
	if c.path == nil {
		return
	}
	if err := c.path.Put(connect.Forward{Host: port, Target: c.ports[port].target}); err != nil {
		c.log.Info("a published port is forwarded by the packet filter alone", "error", err)
	}
}

// begin makes the path, and has it know the addresses of the host until ctx ends.
func (c *connects) begin(ctx context.Context) {
	var path *connect.Path
	err := inside(c.host, func() (err error) { path, err = connect.Open(maxConnects); return err })
	if err != nil {
		c.fail(err)
		return
	}
	if !c.take(ctx, path) {
		return
	}
	news, err := addresses.Watch(c.host, bridgePrefix)
	if err != nil {
		c.log.Info("published ports at the host's addresses are forwarded by the packet filter", "error", err)
		return
	}
	news.Tell(ctx, c.replaceOwn, c.changeOwn)
}

// take makes the path that of the ports that are wanted, unless ctx has ended.
func (c *connects) take(ctx context.Context, path *connect.Path) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		if err := path.Close(); err != nil {
			c.log.Warn("programs at connect are not given back", "error", err)
		}
		return false
	}
	c.path = path
	for port := range c.ports {
		c.put(port)
	}
	return true
}

// fail ends the use of a path that cannot be had.
func (c *connects) fail(err error) {
	c.log.Info("connections of the host's programs to published ports are forwarded by the packet filter", "error", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = fmt.Sprintf("it cannot be had: %v", err)
	clear(c.ports)
	clear(c.owned)
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

// end gives the path up.
func (c *connects) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
	clear(c.ports)
	clear(c.owned)
	clear(c.own)
	if c.path == nil {
		return nil
	}
	err := c.path.Close()
	c.path = nil
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
