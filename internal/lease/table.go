package lease

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/keyed"
	"patchbay.dev/patchbay/internal/lease/keyfiles"
	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/internal/lease/strangers"
	"patchbay.dev/patchbay/internal/stack"
	"patchbay.dev/patchbay/resource"
)

// Table holds the leases of one network and hands out its addresses.
//
// Work on one key is serialized by keys, which is held over calls to the
// network; mu guards the memory only and is never held over them.
type Table struct {
	files  keyfiles.Directory[entry]
	times  Times
	log    *slog.Logger
	notify func() // told that health may have changed
	used   func() // told that usage has changed

	keys    keyed.Mutex
	running sync.WaitGroup // what goes on behind the calls

	mu       sync.Mutex
	network  *Opened           // guarded by mu; nil: not started
	closed   bool              // guarded by mu: no new work; the process ends
	draining bool              // guarded by mu: the network is being deleted
	entries  map[string]*entry // guarded by mu
	pool     *pool.Pool        // guarded by mu; without addresses until the network is open
	freed    freed             // guarded by mu
	// strangers have had another MAC address than pool.MACOf gives them; guarded by mu.
	strangers *strangers.Set
}

// NewTable reads what an earlier process left: its leases are orphaned, with
// nothing counted against them until the network is open.
func NewTable(c Config) (*Table, error) {
	files := keyfiles.In(c.Directory, func(e *entry) string { return e.Key })
	t := &Table{files: files, times: c.Times.withDefaults(), log: c.Log, notify: c.Notify, used: c.Used}
	t.clear()
	others := files.Beside("strangers")
	entries, err := files.Load(others)
	if err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	if t.strangers, err = strangers.Open(others); err != nil {
		return nil, err
	}
	for _, e := range entries {
		t.entries[e.Key] = e
		if e.Lease == nil {
			continue
		}
		expires := e.Lease.ExpiresAt
		if e.Lease.State == resource.LeasePending {
			e.Lease.enter(resource.LeasePending)
			e.Lease.ExpiresAt = expires
		} else {
			e.Lease.enter(resource.LeaseOrphaned)
		}
	}
	return t, nil
}

// clear forgets everything. Callers hold mu, or are the only ones.
func (t *Table) clear() {
	t.network, t.pool = nil, pool.New(pool.Config{})
	t.entries = map[string]*entry{}
	t.freed.unwritten = map[string]bool{}
}

// Open begins to serve a started network. The times of leases that an earlier
// process left start to run. Opening again replaces the network.
func (t *Table) Open(n *Opened) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.network == nil
	t.network = n
	if r := n.Realization; first || !t.pool.Has(r.IPv4Subnet.IsValid(), r.IPv6Subnet.IsValid()) {
		t.restore()
	}
	t.pool.SetRanges(n.Ranges)
	if !first {
		return
	}
	for _, e := range t.entries {
		switch {
		case e.Lease == nil:
		case e.Lease.State == resource.LeasePending:
			t.arm(e, time.Until(e.Lease.ExpiresAt))
		case e.Lease.State == resource.LeaseOrphaned:
			t.arm(e, t.times.Orphaned)
		}
	}
}

// Shut stops serving a network that was stopped but not deleted; leases stay.
func (t *Table) Shut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.network = nil
}

// restore makes a pool that knows the addresses of all entries, those freed
// first before those freed later. Callers hold mu.
func (t *Table) restore() {
	t.pool = t.network.pool(t.ownerOf)
	sorted := t.sorted(func(*entry) bool { return true })
	slices.SortStableFunc(sorted, func(a, b *entry) int { return a.FreedAt.Compare(b.FreedAt) })
	for _, e := range sorted {
		if e.Lease == nil {
			continue
		}
		if err := errors.Join(t.pool.Give(e.Key, e.Lease.addresses()), t.noteStrangers(e.Lease.Attachment)); err != nil {
			t.log.Error("lease from before does not fit the network", "key", e.Key, "error", err)
		}
	}
	for _, e := range sorted {
		if err := t.pool.Reserve(e.Key, e.Reserved); err != nil {
			t.log.Error("reservation from before does not fit the network", "key", e.Key, "error", err)
			t.unreserve(e)
		}
		t.pool.Remember(e.Key, e.Remembered)
	}
}

// sorted returns the entries of a kind by key. Callers hold mu.
func (t *Table) sorted(of func(*entry) bool) []*entry {
	var out []*entry
	for _, e := range t.entries {
		if of(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

var errEnding = fmt.Errorf("the plugin is ending: %w", errdefs.ErrUnavailable)

// serving returns the network, or why there is none to work with. Callers hold
// mu.
func (t *Table) serving() (*Opened, error) {
	switch {
	case t.closed:
		return nil, errEnding
	case t.network == nil:
		return nil, fmt.Errorf("the network is not started: %w", errdefs.ErrUnavailable)
	case t.draining:
		return nil, fmt.Errorf("network %s: is being deleted: %w", t.network.Name, errdefs.ErrFailedPrecondition)
	}
	return t.network, nil
}

// keep writes an entry down, or removes what is written when there is nothing
// to keep. Callers hold mu, so that files and memory change in one order.
func (t *Table) keep(e *entry) (err error) {
	if e.empty() {
		delete(t.entries, e.Key)
		err = t.files.Remove(e.Key)
	} else {
		err = t.files.Write(e)
	}
	if err == nil {
		delete(t.freed.unwritten, e.Key)
	}
	return err
}

// arm sets the timer that ends a lease's state. Callers hold mu.
func (t *Table) arm(e *entry, after time.Duration) {
	l, epoch := e.Lease, e.Lease.epoch
	l.ExpiresAt = time.Now().Add(after)
	l.timer = time.AfterFunc(after, func() {
		t.background(func() { t.expire(e.Key, l, epoch) })
	})
}

// background runs f unless the process is ending, which waits for it.
func (t *Table) background(f func()) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.running.Add(1)
	t.mu.Unlock()
	go func() {
		defer t.running.Done()
		stack.Grow()
		f()
	}()
}

// Close stops all timers, ends all holds and waits for what is under way. Leases stay as
// they are, for the next process: those that are pending are written down for it.
func (t *Table) Close() {
	t.mu.Lock()
	t.closed = true
	for _, e := range t.entries {
		if e.Lease == nil {
			continue
		}
		if e.Lease.timer != nil {
			e.Lease.timer.Stop()
		}
		if e.Lease.hold != nil {
			e.Lease.hold.close(errEnding)
		}
	}
	t.mu.Unlock()
	t.running.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.writeFreed(); err != nil {
		t.log.Error("freed leases cannot be written down", "error", err)
	}
	for _, e := range t.entries {
		if e.Lease == nil {
			continue
		}
		e.Lease.closeNamespace()
		if e.Lease.State == resource.LeasePending {
			if err := t.keep(e); err != nil {
				t.log.Error("lease cannot be written down", "key", e.Key, "error", err)
			}
		}
	}
}

// Lease is a lease as it was at one moment.
type Lease struct {
	Key, Owner     string
	State          resource.LeaseState
	Attachment     resource.Attachment
	AdditionalData json.RawMessage
	ExpiresAt      time.Time // pending and orphaned only
}

func (e *entry) listed() bool { return e.Lease != nil && e.Lease.State != "" }

func (e *entry) view() Lease {
	l := e.Lease
	return Lease{e.Key, e.Owner, l.State, l.Attachment, l.AdditionalData, l.ExpiresAt}
}

// All returns all leases by owner and key, each as it is when it is looked at. The table is free meanwhile.
func (t *Table) All() iter.Seq[Lease] {
	return func(yield func(Lease) bool) {
		t.mu.Lock()
		all := t.sorted((*entry).listed)
		slices.SortStableFunc(all, func(a, b *entry) int { return cmp.Compare(a.Owner, b.Owner) })
		t.mu.Unlock()
		for _, e := range all {
			t.mu.Lock()
			var l Lease
			listed := e.listed()
			if listed {
				l = e.view()
			}
			t.mu.Unlock()
			if listed && !yield(l) {
				return
			}
		}
	}
}

// ByName returns the leases of live sandboxes that a hostname, an alias, the name
// of a container or the first digits of its id stand for, in any case.
func (t *Table) ByName(name string) []Lease {
	return t.find(func(e *entry) bool { return name != "" && e.answersTo(name) })
}

// ByAddress returns the leases of live sandboxes with an address.
func (t *Table) ByAddress(address netip.Addr) []Lease {
	return t.find(func(e *entry) bool {
		a := e.Lease.Attachment
		return address.IsValid() && (a.IPv4Address.Addr() == address || a.IPv6Address.Addr() == address)
	})
}

func (t *Table) find(matches func(*entry) bool) []Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Lease
	for _, e := range t.sorted(func(e *entry) bool { return e.live() && matches(e) }) {
		out = append(out, e.view())
	}
	return out
}

// Ports returns those whose sandboxes may be live.
func (t *Table) Ports() []Port {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Port
	for _, e := range t.sorted((*entry).live) {
		out = append(out, e.port())
	}
	return out
}

// Usage is how many addresses of a network are in use: of each family, zero
// where it has none.
type Usage struct {
	IPv4, IPv6 resource.AddressUsage
	Leases     uint64 // that are not free, with or without addresses
}

// Usage returns the present one.
func (t *Table) Usage() Usage {
	t.mu.Lock()
	defer t.mu.Unlock()
	var u Usage
	u.IPv4, u.IPv6 = t.pool.Usage()
	for _, e := range t.entries {
		if e.Lease != nil {
			u.Leases++
		}
	}
	return u
}

// Troubles returns one line for each port that cannot be taken off.
func (t *Table) Troubles() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, e := range t.sorted(func(e *entry) bool { return e.Lease != nil && e.Lease.trouble != nil }) {
		out = append(out, fmt.Sprintf("the port of %s cannot be taken off the network yet: %v", e.owner(), e.Lease.trouble))
	}
	return out
}

// await waits until a lease leaves its state or ctx ends.
func await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
