package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/resource"
)

// releaseTime is how long a release waits for the stream of a held lease, which
// may be about to end, before it is refused.
const releaseTime = 2 * time.Second

// maxRetryFactor bounds the pause between tries to take a port off.
const maxRetryFactor = 30

// expire ends a state that had to pass: nobody held a pending lease, nobody
// Held an orphaned one again, or a port is to be tried again.
func (t *Table) expire(key string, l *lease, epoch int) {
	defer t.keys.Lock(key)()
	t.mu.Lock()
	e := t.entries[key]
	current := e != nil && e.Lease == l && l.epoch == epoch && t.network != nil
	t.mu.Unlock()
	if current {
		t.takeOff(key)
	}
}

// takeOff takes the port of a lease off the network and then frees its
// addresses, never the other way round; when that fails it is tried again later.
// Callers hold the key.
func (t *Table) takeOff(key string) {
	err := t.expel(key)
	t.mu.Lock()
	e := t.entries[key]
	if err == nil {
		err = t.free(e)
	} else {
		t.postpone(e, err)
	}
	t.mu.Unlock()
	if err != nil {
		t.log.Error("port cannot be taken off", "key", key, "error", err)
	}
	t.used()
	t.notify()
}

// expel takes the port off the network. A lease that was never held has none.
// Callers hold the key.
func (t *Table) expel(key string) error {
	t.mu.Lock()
	e, network := t.entries[key], t.network
	l := e.Lease
	if l.State == resource.LeasePending {
		t.mu.Unlock()
		return nil
	}
	if network == nil {
		t.mu.Unlock()
		return fmt.Errorf("the network is not started: %w", errdefs.ErrUnavailable)
	}
	if l.State != resource.LeaseOrphaned {
		l.enter(resource.LeaseOrphaned)
	}
	if l.namespace == nil && l.NetworkNamespace != "" { // of before a restart
		if file, err := os.Open(l.NetworkNamespace); err == nil {
			l.namespace = file
		}
	}
	port := e.port()
	t.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), expelTime)
	defer cancel()
	return network.Expel(ctx, port)
}

// postpone keeps the addresses of a port that could not be taken off and sets
// the time of the next try. Callers hold mu.
func (t *Table) postpone(e *entry, err error) {
	l := e.Lease
	l.lost, l.trouble = true, err
	l.enter(resource.LeaseOrphaned)
	pause := t.times.Retry << min(l.tries, 10)
	l.tries++
	t.arm(e, min(pause, maxRetryFactor*t.times.Retry))
}

// free gives the addresses of a lease back and remembers them for its key.
// Callers hold mu and the key.
func (t *Table) free(e *entry) error {
	l := e.Lease
	had, state := l.addresses(), l.State
	t.pool.Free(e.Key)
	t.dropMAC(e)
	l.closeNamespace()
	l.enter("") // wakes those who wait
	e.Lease = nil
	e.Remembered = pool.Addresses{IPv4: had.IPv4, IPv6: had.IPv6}
	e.FreedAt = time.Now()
	if state == resource.LeasePending { // its file keeps the addresses longer than one of a held lease
		return t.keep(e)
	}
	t.keepLater(e.Key)
	return nil
}

// Release gives up the lease of a key, if any. With forget nothing of the key
// is kept. A lease whose stream is about to end is waited for.
func (t *Table) Release(ctx context.Context, key string, forget bool) error {
	if err := checkKey(key); err != nil {
		return err
	}
	for {
		wait, refusal := t.tryRelease(key, forget)
		if wait == nil {
			return refusal
		}
		if err := t.awaitRelease(ctx, wait); err != nil {
			return errors.Join(refusal, err)
		}
	}
}

func (t *Table) awaitRelease(ctx context.Context, wait *releaseWait) error {
	if wait.held {
		limited, cancel := context.WithTimeout(ctx, releaseTime)
		defer cancel()
		ctx = limited
	}
	return await(ctx, wait.changed)
}

// releaseWait is a lease that may be about to become free.
type releaseWait struct {
	held    bool // the stream is open; else it may come back
	changed <-chan struct{}
}

// tryRelease returns what to wait for, with the error for when it does not
// come.
func (t *Table) tryRelease(key string, forget bool) (*releaseWait, error) {
	defer t.keys.Lock(key)()
	if wait, err := t.releasable(key); err != nil {
		return wait, err
	}
	t.takeOffNow(key)
	if forget {
		defer t.used()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	switch {
	case e == nil:
		return nil, nil
	case e.Lease != nil:
		return nil, fmt.Errorf("lease %s: its port cannot be taken off the network yet: %w: %w", key, errdefs.ErrUnavailable, e.Lease.trouble)
	case forget:
		return nil, t.forget(e)
	}
	return nil, nil
}

// releasable tells whether the lease of a key, if any, may be given up now.
func (t *Table) releasable(key string) (*releaseWait, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("the plugin is ending: %w", errdefs.ErrUnavailable)
	}
	e := t.entries[key]
	if e == nil || e.Lease == nil {
		return nil, nil
	}
	switch l := e.Lease; {
	case t.network == nil:
		return nil, fmt.Errorf("lease %s: the network is not started: %w", key, errdefs.ErrUnavailable)
	case l.State == resource.LeaseHeld:
		return &releaseWait{true, l.changed}, fmt.Errorf("lease %s: is held by the sandbox of %s, stop it first: %w",
			key, e.owner(), errdefs.ErrFailedPrecondition)
	case l.State == resource.LeaseOrphaned && !l.lost:
		return &releaseWait{false, l.changed}, fmt.Errorf("lease %s: may be held again by the sandbox of %s: %w",
			key, e.owner(), errdefs.ErrUnavailable)
	}
	return nil, nil
}

// forget drops all that is kept for a key without a lease. Callers hold mu.
func (t *Table) forget(e *entry) error {
	e.Remembered = pool.Addresses{}
	t.pool.Forget(e.Key)
	t.unreserve(e)
	return t.keep(e)
}

// Drain prepares the deletion of the network: without force it is refused while
// there are leases; with it their ports are taken off, and what cannot be is
// left to the network's removal. Until resume or reset nothing new begins.
func (t *Table) Drain(force bool) error {
	t.mu.Lock()
	var owners []string
	var keys []string
	for _, e := range t.sorted((*entry).leased) {
		owners, keys = append(owners, e.owner()), append(keys, e.Key)
	}
	if len(keys) > 0 && !force {
		t.mu.Unlock()
		return fmt.Errorf("network: is in use by %q, stop them first: %w", owners, errdefs.ErrFailedPrecondition)
	}
	t.draining = true
	t.mu.Unlock()
	for _, key := range keys {
		func() {
			defer t.keys.Lock(key)()
			t.takeOffNow(key)
		}()
	}
	return nil
}

// takeOffNow takes the port of a key off the network if it has a lease. Callers
// Hold the key.
func (t *Table) takeOffNow(key string) {
	t.mu.Lock()
	e := t.entries[key]
	live := e != nil && e.Lease != nil && t.network != nil
	t.mu.Unlock()
	if live {
		t.takeOff(key)
	}
}

// Resume takes drain back.
func (t *Table) Resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = false
}

// Reset forgets everything: the network is gone.
func (t *Table) Reset() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var faults []error
	for _, e := range t.entries {
		if e.Lease != nil {
			e.Lease.closeNamespace()
			e.Lease.enter("")
		}
		faults = append(faults, t.files.Remove(e.Key))
	}
	faults = append(faults, t.strangers.Clear())
	t.clear()
	t.draining = false
	return errors.Join(faults...)
}
