package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/trace"
	"patchbay.dev/patchbay/resource"
)

// successionTime is how long a sandbox that wants a lease waits for another
// one's stream to end: the former sandbox is dead as a rule, and only the news
// of it is under way.
const successionTime = 3 * time.Second

// expelTime is how long taking a port off the network may take in one try.
const expelTime = 5 * time.Second

// Hold is one stream that keeps leases.
type Hold struct {
	peer int      // process at the other end; 0: unknown
	keys []string // sorted
	// cause is what the hold is part of; nil: not traced.
	cause *trace.Span

	mu   sync.Mutex
	over error       // guarded by mu; why it was ended from this side, nil: it was not
	end  func(error) // guarded by mu; nil: nobody is told
}

// OnOver has f called once when the hold is ended from this side, at once when it has been:
// with errdefs.ErrAborted when another stream has taken a lease over or the lease has ended,
// with errdefs.ErrUnavailable by the table's Close. f must not call the table.
func (h *Hold) OnOver(f func(error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over != nil {
		f(h.over)
		return
	}
	h.end = f
}

// close ends the hold from this side.
func (h *Hold) close(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over != nil {
		return
	}
	h.over = err
	if h.end != nil {
		h.end(err)
	}
}

// lose ends the hold because a lease is no longer its own.
func (h *Hold) lose() {
	h.close(fmt.Errorf("leases %q: held by another stream now, or ended: %w", h.keys, errdefs.ErrAborted))
}

// Hold makes leases held by a new stream, all of them or none. A lease that
// another stream of the same process keeps passes to the new one: a sandbox
// that dials again wins over its own stale stream. One that another process
// keeps is waited for, then refused with errdefs.ErrFailedPrecondition.
func (t *Table) Hold(ctx context.Context, keys []string, namespace string, peer int) (*Hold, error) {
	h := &Hold{cause: trace.Current(ctx), peer: peer, keys: slices.Compact(slices.Sorted(slices.Values(keys)))}
	if len(keys) == 0 || len(h.keys) != len(keys) {
		return nil, fmt.Errorf("keys %q: want one or more, each once: %w", keys, errdefs.ErrInvalidArgument)
	}
	for {
		wait, err := t.tryHold(ctx, h, namespace)
		if err != nil {
			return nil, err
		}
		if wait == nil {
			return h, nil
		}
		if err := t.succeed(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// succeed waits for the stream that keeps a lease to end. The lease is not
// freed then but pending again.
func (t *Table) succeed(ctx context.Context, wait *predecessor) error {
	ctx, cancel := context.WithTimeout(ctx, successionTime)
	defer cancel()
	err := await(ctx, wait.changed)
	t.mu.Lock()
	wait.lease.successors--
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("lease %s: is held by another sandbox, process %d: %w", wait.key, wait.peer, errdefs.ErrFailedPrecondition)
	}
	return nil
}

// predecessor is the holder of a lease that another one wants.
type predecessor struct {
	key     string
	peer    int
	lease   *lease
	changed <-chan struct{}
}

// tryHold returns a predecessor when there is one to wait for.
func (t *Table) tryHold(ctx context.Context, h *Hold, namespace string) (*predecessor, error) {
	for _, key := range h.keys { // sorted: no two callers wait for each other
		defer t.keys.Lock(key)()
	}
	network, wait, err := t.holdable(h)
	if wait != nil || err != nil {
		return wait, err
	}
	var admitted []string
	for _, key := range h.keys {
		admitted = append(admitted, key)
		if err = t.admit(ctx, network, key, namespace); err != nil {
			err = errors.Join(fmt.Errorf("network %s: lease %s: %w", network.Name, key, err), t.unadmit(ctx, network, admitted))
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range h.keys {
		l := t.entries[key].Lease
		if l.hold != nil {
			l.hold.lose() // its other leases are orphaned
		}
		l.enter(resource.LeaseHeld)
		l.hold = h
	}
	return nil, nil
}

// holdable checks all leases of a hold.
func (t *Table) holdable(h *Hold) (*Opened, *predecessor, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	network, err := t.serving()
	if err != nil {
		return nil, nil, err
	}
	var faults []error
	var wait *predecessor
	for _, key := range h.keys {
		e := t.entries[key]
		switch {
		case e == nil || e.Lease == nil:
			faults = append(faults, fmt.Errorf("lease %s: unknown on network %s, allocate it first: %w", key, network.Name, errdefs.ErrNotFound))
		case e.Lease.lost:
			faults = append(faults, fmt.Errorf("lease %s: its port is being taken off network %s: %w", key, network.Name, errdefs.ErrFailedPrecondition))
		case e.Lease.hold != nil && (h.peer == 0 || e.Lease.hold.peer != h.peer):
			wait = &predecessor{key, e.Lease.hold.peer, e.Lease, e.Lease.changed}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, nil, err
	}
	if wait != nil {
		wait.lease.successors++
	}
	return network, wait, nil
}

// admit lets the port of a lease onto the network. That it may be on it is
// written down first: a process that dies in between leaves a lease that its
// successor takes off.
func (t *Table) admit(ctx context.Context, network *Opened, key, namespace string) error {
	var file *os.File
	if namespace != "" {
		var err error
		if file, err = os.Open(namespace); err != nil {
			return fmt.Errorf("network namespace: %w: %w", errdefs.ErrInvalidArgument, err)
		}
	}
	t.mu.Lock()
	e := t.entries[key]
	before := *e.Lease
	e.Lease.closeNamespace()
	e.Lease.NetworkNamespace, e.Lease.namespace = namespace, file
	e.Lease.State = resource.LeaseHeld // on disk; in memory once all are admitted
	err := errors.Join(t.writeFreed(), t.keep(e))
	e.Lease.State = before.State
	port := e.port()
	t.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, span := trace.Start(ctx, "admit the port")
	err = network.Admit(ctx, port)
	span.End(err)
	return err
}

// unadmit takes ports off again that were pending before; one that cannot be
// is tried again later. The sandboxes of the others may be live.
func (t *Table) unadmit(ctx context.Context, network *Opened, keys []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), expelTime)
	defer cancel()
	var faults []error
	for _, key := range keys {
		t.mu.Lock()
		e := t.entries[key]
		pending, port := e.Lease.State == resource.LeasePending, e.port()
		t.mu.Unlock()
		if !pending {
			continue
		}
		err := network.Expel(ctx, port)
		t.mu.Lock()
		if err == nil {
			e.Lease.closeNamespace()
			e.Lease.NetworkNamespace = ""
			err = t.keep(e)
		} else {
			t.postpone(e, err)
		}
		t.mu.Unlock()
		faults = append(faults, err)
	}
	t.notify()
	return errors.Join(faults...)
}

// LetGo is the end of a stream: its leases are orphaned, their ports taken off
// the network, their addresses freed. It returns at once.
func (t *Table) LetGo(h *Hold) {
	for _, key := range h.keys {
		t.background(func() { t.end(key, h) })
	}
}

func (t *Table) end(key string, h *Hold) {
	defer t.keys.Lock(key)()
	t.mu.Lock()
	e := t.entries[key]
	if e == nil || e.Lease == nil || e.Lease.hold != h { // passed to another stream, or gone
		t.mu.Unlock()
		return
	}
	awaited := e.Lease.successors > 0
	t.mu.Unlock()
	_, span := trace.Start(trace.With(context.Background(), h.cause), "take the port off")
	defer span.End(nil)
	if awaited {
		t.handOver(key)
	} else {
		t.takeOff(key)
	}
}

// handOver takes the port of a dead sandbox off the network and makes the
// lease pending again, for the next one that waits for it. Callers hold the key.
func (t *Table) handOver(key string) {
	err := t.expel(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if err != nil {
		t.postpone(e, err)
		return
	}
	e.Lease.closeNamespace()
	e.Lease.NetworkNamespace = ""
	e.Lease.enter(resource.LeasePending)
	t.arm(e, t.times.Pending)
	if err := t.keep(e); err != nil {
		t.log.Error("lease cannot be written down", "key", key, "error", err)
	}
}

// OnPort calls f with the port of a held lease while nothing else happens to it.
func (t *Table) OnPort(key string, f func(Port) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	defer t.keys.Lock(key)()
	port, err := t.heldPort(key)
	if err != nil {
		return err
	}
	return f(port)
}

func (t *Table) heldPort(key string) (Port, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	network, err := t.serving()
	if err != nil {
		return Port{}, err
	}
	e := t.entries[key]
	if e == nil || e.Lease == nil {
		return Port{}, fmt.Errorf("lease %s: unknown on network %s, allocate it first: %w", key, network.Name, errdefs.ErrNotFound)
	}
	if e.Lease.State != resource.LeaseHeld {
		return Port{}, fmt.Errorf("lease %s: is not held by a sandbox: %w", key, errdefs.ErrFailedPrecondition)
	}
	return e.port(), nil
}
