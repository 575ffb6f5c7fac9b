package bridge

import (
	"net/netip"
	"sync"

	"patchbay.dev/patchbay/internal/link"
)

// stale are the addresses that have lost their ports, and whose neighbours the host is about
// to forget. The zero value has none.
type stale struct {
	mu        sync.Mutex
	addresses map[netip.Addr]int // how often each is about to be forgotten; guarded by mu
}

func (s *stale) add(addresses []netip.Addr, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addresses == nil {
		s.addresses = make(map[netip.Addr]int)
	}
	for _, a := range addresses {
		if s.addresses[a] += more; s.addresses[a] == 0 {
			delete(s.addresses, a)
		}
	}
}

func (s *stale) any(addresses []netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addresses {
		if s.addresses[a] > 0 {
			return true
		}
	}
	return false
}

// forget has the host forget who had the addresses of a port whose link is gone. That takes
// the kernel's lock of all links, which whoever deleted this one holds for milliseconds
// more: so nobody waits for it but the next owner of one of them.
func (n *Network) forget(links *link.Handle, addresses []netip.Addr) {
	n.stale.add(addresses, 1)
	n.background.Go(func() {
		defer n.stale.add(addresses, -1)
		if err := links.ForgetNeighbours(n.bridge, addresses); err != nil {
			n.log.Warn("the host may look for the next owner of an address where the last one was", "error", err)
		}
	})
}

// forgetStale has that done for addresses that get a port.
func (n *Network) forgetStale(addresses []netip.Addr) error {
	if !n.stale.any(addresses) {
		return nil
	}
	links, err := n.open()
	if err != nil {
		return err
	}
	return links.ForgetNeighbours(n.bridge, addresses)
}
