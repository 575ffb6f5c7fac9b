package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"pgregory.net/rapid"

	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/internal/lease/pool"
	"patchbay.dev/patchbay/resource"
)

// TestTableModel drives a table through random lives of sandboxes, streams and
// plugin processes and compares it with what the contract says, by a fake clock.
func TestTableModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		rapid.Check(struct{ *testing.T }{t}, func(rt *rapid.T) {
			m := newModel(rt, directory)
			defer m.close()
			rt.Repeat(map[string]func(*rapid.T){
				"allocate": m.allocate, "hold": m.hold, "drop": m.drop, "release": m.release, "reserve": m.reserve,
				"restart": m.restart, "wait": m.wait, "stick": m.stick, "": m.check,
			})
		})
	})
}

// client is what the model knows of one key.
type client struct {
	state    resource.LeaseState // empty: no lease
	since    time.Time           // of a pending or orphaned lease
	peer     int                 // of a held one
	stream   *lease.Hold
	last     netip.Addr // its address, now or before
	reserved netip.Addr
}

type model struct {
	directory string
	network   *fake
	table     *lease.Table
	stuck     bool // ports cannot be taken off
	clients   map[string]*client
}

func newModel(t *rapid.T, base string) *model {
	directory, err := os.MkdirTemp(base, "")
	if err != nil {
		t.Fatal(err)
	}
	m := &model{directory: directory, network: newFake(), clients: map[string]*client{}}
	for _, key := range []string{"a/0", "b/0", "c/0", "d/0"} {
		m.clients[key] = &client{}
	}
	m.start(t)
	return m
}

func (m *model) start(t *rapid.T) {
	table, err := lease.NewTable(lease.Config{Directory: m.directory, Log: slog.New(slog.DiscardHandler), Notify: func() {}, Used: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	m.table = table
	r := realization
	r.IPv4Subnet = netip.MustParsePrefix("10.0.0.0/28") // enough for a lease and a reservation of every key
	table.Open(&lease.Opened{Network: m.network, ID: "0123456789abcdef", Name: "net", Realization: r})
}

func (m *model) close() { m.table.Close() }

func (m *model) draw(t *rapid.T) (string, *client) {
	key := rapid.SampledFrom([]string{"a/0", "b/0", "c/0", "d/0"}).Draw(t, "key")
	return key, m.clients[key]
}

func (m *model) allocate(t *rapid.T) {
	key, c := m.draw(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	l, err := m.table.Allocate(ctx, key, key, resource.AttachmentConfiguration{IPv4Address: c.reserved})
	m.pass()
	if c.state == resource.LeaseOrphaned {
		if m.stuck {
			if err == nil {
				t.Fatalf("%s: allocated while its port is on the network", key)
			}
			return
		}
		t.Fatalf("%s: still orphaned after 4 s", key)
	}
	if err != nil {
		if errors.Is(err, errdefs.ErrAlreadyExists) && c.reserved.IsValid() {
			return // reserved while another one had it as its own
		}
		t.Fatalf("%s: %v", key, err)
	}
	got := l.Attachment.IPv4Address.Addr()
	if c.state != "" && got != c.last {
		t.Fatalf("%s: got %v, want %v again", key, got, c.last)
	}
	if c.reserved.IsValid() && c.state == "" && got != c.reserved {
		t.Fatalf("%s: got %v, want the reserved %v", key, got, c.reserved)
	}
	if c.state != resource.LeaseHeld {
		c.state, c.since = resource.LeasePending, time.Now()
	}
	c.last = got
}

func (m *model) hold(t *rapid.T) {
	key, c := m.draw(t)
	peer := rapid.IntRange(1, 2).Draw(t, "peer")
	h, err := m.table.Hold(context.Background(), []string{key}, "", peer)
	m.pass()
	may := c.state == resource.LeasePending || c.state == resource.LeaseHeld && c.peer == peer ||
		c.state == resource.LeaseOrphaned && c.peer == 0
	if may != (err == nil) {
		t.Fatalf("%s: process %d got %v in state %q held by %d", key, peer, err, c.state, c.peer)
	}
	if err == nil {
		if c.stream != nil {
			m.table.LetGo(c.stream) // the stale one
		}
		c.state, c.peer, c.stream = resource.LeaseHeld, peer, h
	}
}

func (m *model) drop(t *rapid.T) {
	_, c := m.draw(t)
	if c.stream == nil {
		t.Skip("no stream")
	}
	m.table.LetGo(c.stream)
	c.stream = nil
	if m.stuck {
		c.state, c.peer = resource.LeaseOrphaned, -1
	} else {
		c.state, c.peer = "", 0
	}
	synctest.Wait()
}

func (m *model) release(t *rapid.T) {
	key, c := m.draw(t)
	forget := rapid.Bool().Draw(t, "forget")
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	err := m.table.Release(ctx, key, forget)
	m.pass()
	if refused := c.state == resource.LeaseHeld || c.state == resource.LeaseOrphaned; refused != (err != nil) {
		t.Fatalf("%s: got %v in state %q", key, err, c.state)
	}
	if err == nil {
		c.state, c.peer = "", 0
		if forget {
			c.reserved = netip.Addr{}
		}
	}
}

func (m *model) reserve(t *rapid.T) {
	key, c := m.draw(t)
	address := realization.IPv4Gateway
	for range rapid.IntRange(1, 4).Draw(t, "place") {
		address = address.Next()
	}
	taken := false
	for k, other := range m.clients {
		taken = taken || k != key && (other.reserved == address || other.state != "" && other.last == address)
	}
	err := m.table.Reserve(lease.Reservation{Key: key, Owner: key, Addresses: pool.Addresses{IPv4: address}})
	if taken != errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Fatalf("%s: got %v for %v, taken: %t", key, err, address, taken)
	}
	if err == nil {
		c.reserved = address
	}
}

// restart is the death of the plugin process and a new one.
func (m *model) restart(t *rapid.T) {
	m.table.Close()
	for _, c := range m.clients {
		c.stream = nil
		if c.state == resource.LeaseHeld || c.state == resource.LeaseOrphaned {
			c.state, c.peer, c.since = resource.LeaseOrphaned, 0, time.Now()
		}
	}
	m.start(t)
}

func (m *model) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
	m.pass()
}

// stick makes the network unable to take ports off, or able again.
func (m *model) stick(*rapid.T) {
	m.stuck = !m.stuck
	m.network.set(func() {
		m.network.expel = nil
		if m.stuck {
			m.network.expel = errdefs.ErrInternal
		}
	})
	if !m.stuck {
		time.Sleep(31 * 250 * time.Millisecond) // the longest pause between tries
		m.pass()
	}
}

// pass applies what time did.
func (m *model) pass() {
	synctest.Wait()
	for _, c := range m.clients {
		switch {
		case c.state == resource.LeasePending && time.Since(c.since) >= 30*time.Second:
			c.state = ""
		case c.state == resource.LeaseOrphaned && c.peer == 0 && time.Since(c.since) >= 3*time.Second:
			c.peer = -1 // nobody may hold it any more
		}
		if c.state == resource.LeaseOrphaned && c.peer == -1 && !m.stuck {
			c.state, c.peer = "", 0
		}
	}
}

func (m *model) check(t *rapid.T) {
	synctest.Wait()
	seen := map[netip.Addr]string{}
	leases := map[string]lease.Lease{}
	for l := range m.table.All() {
		leases[l.Key] = l
		for _, address := range []netip.Addr{l.Attachment.IPv4Address.Addr(), l.Attachment.IPv6Address.Addr()} {
			if other, ok := seen[address]; ok {
				t.Fatalf("%s and %s both have %v", l.Key, other, address)
			}
			seen[address] = l.Key
		}
	}
	for key, c := range m.clients {
		if got := leases[key].State; got != c.state {
			t.Fatalf("%s: got state %q, want %q", key, got, c.state)
		}
	}
	for key := range m.network.ports() { // nobody's port is on the network
		if leases[key].State != resource.LeaseHeld && leases[key].State != resource.LeaseOrphaned {
			t.Fatalf("%s: its port is on the network with a lease in state %q", key, leases[key].State)
		}
	}
	for key, c := range m.clients {
		if _, on := m.network.ports()[key]; c.state == resource.LeaseHeld && !on {
			t.Fatalf("%s: is held and its port is not on the network", key)
		}
	}
}
