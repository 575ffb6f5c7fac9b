package networks

import (
	"context"
	"sync"
	"time"

	"patchbay.dev/patchbay/resource"
)

// departures are leases that are being given up, though it has been told that who had them has ended. What
// somebody is refused for their sake is granted once they are over. The zero value has none; it is safe
// for concurrent use.
type departures struct {
	mu  sync.Mutex
	all map[chan struct{}]struct{} // guarded by mu; each is closed when it is over
}

// begin adds one, which over ends.
func (d *departures) begin() (over func()) {
	one := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[chan struct{}]struct{}{}
	}
	d.all[one] = struct{}{}
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.all, one)
		close(one)
	})
}

// now returns those that there are.
func (d *departures) now() []chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return nil
	}
	out := make([]chan struct{}, 0, len(d.all))
	for one := range d.all {
		out = append(out, one)
	}
	return out
}

// await waits until some departures are over, or ctx is, for a time at most.
func (n *network) await(ctx context.Context, some []chan struct{}, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for _, one := range some {
		select {
		case <-one:
		case <-ctx.Done():
			return
		}
	}
}

// Depart says that a lease of a network is being given up, until done is called: Allocate and Reserve wait for that
// before they refuse anything, and Get before it tells of attachments. It is not ok, and then nothing is to be done, for a network by which the host has something
// back when a lease is released, or may have: nobody who wants that asks for it here.
func (s *Service) Depart(networkID string) (done func(), ok bool) {
	n, err := s.get(networkID)
	if err != nil {
		return nil, false
	}
	switch strategy, err := s.Strategy(networkID); {
	case err != nil, strategy == resource.StrategyHostDevice, strategy == resource.StrategyDelegated:
		return nil, false
	}
	return n.leaving.begin(), true
}

// wish makes a call about a lease that may be refused for what is about to be free.
func (n *network) wish(ctx context.Context, f call) error {
	leaving := n.leaving.now()
	err := n.lease(ctx, f)
	if err == nil || len(leaving) == 0 {
		return err
	}
	n.await(ctx, leaving, n.service.config.LeaseTimeout)
	if ctx.Err() != nil {
		return err
	}
	return n.lease(ctx, f)
}
