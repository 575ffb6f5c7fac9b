package addressing

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/resource"
)

// writeDelay is how long what attachments have got may be unwritten, and what a power
// cut may take: a start does not wait for the disk, and an attachment that has come and
// gone by then is never written.
const writeDelay = time.Second

// Addresses are those that an attachment had last.
type Addresses struct {
	IPv4 netip.Addr `json:"ipv4,omitzero"`
	IPv6 netip.Addr `json:"ipv6,omitzero"`
}

// Remembered is the addresses of the attachments of one network by key, as they
// are stored. A network's plugin remembers them itself, but not over a reboot.
type Remembered struct {
	NetworkID string               `json:"networkId"`
	Addresses map[string]Addresses `json:"addresses"`
}

// Records stores Remembered by the network's id.
type Records interface {
	List() ([]Remembered, error)
	// Change puts records and deletes those that are nil, all of them or none.
	Change(map[string]*Remembered) error
}

// Memory is what is remembered, of which it writes the changes behind. It is safe
// for concurrent use.
type Memory struct {
	stored Records
	log    *slog.Logger
	wake   chan struct{} // with room for one: there is something to write

	mu        sync.Mutex
	byNetwork addresses // guarded by mu
	// unwritten has what is stored of the attachments of which something else is remembered,
	// zero where nothing is, and of each network that is to be written; guarded by mu.
	unwritten addresses
}

// addresses are those of attachments, by the network's id, then by key.
type addresses map[string]map[string]Addresses

// set makes the addresses of an attachment known, or with none of them unknown.
func (a addresses) set(networkID, key string, to Addresses) {
	switch {
	case to == Addresses{}:
		delete(a[networkID], key)
	case a[networkID] == nil:
		a[networkID] = map[string]Addresses{key: to}
	default:
		a[networkID][key] = to
	}
}

// NewMemory reads what is stored of networks that there still are. What cannot be
// read is forgotten: addresses are chosen anew then.
func NewMemory(stored Records, networks []resource.StoredNetwork, log *slog.Logger) *Memory {
	m := &Memory{stored: stored, log: log, wake: make(chan struct{}, 1), byNetwork: addresses{}, unwritten: addresses{}}
	all, err := stored.List()
	if err != nil {
		log.Warn("some addresses of attachments are not remembered", "error", err)
	}
	for _, r := range all {
		if !slices.ContainsFunc(networks, func(n resource.StoredNetwork) bool { return n.ID == r.NetworkID }) {
			m.unwritten[r.NetworkID] = r.Addresses
			m.awake()
		} else if r.Addresses != nil {
			m.byNetwork[r.NetworkID] = r.Addresses
		}
	}
	return m
}

// Note remembers what an attachment has got.
func (m *Memory) Note(networkID, key string, a resource.Attachment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change(networkID, key, Addresses{a.IPv4Address.Addr(), a.IPv6Address.Addr()})
}

// Forget forgets one attachment.
func (m *Memory) Forget(networkID, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change(networkID, key, Addresses{})
}

// Drop forgets a network.
func (m *Memory) Drop(networkID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.byNetwork[networkID] {
		m.change(networkID, key, Addresses{})
	}
	delete(m.byNetwork, networkID)
}

// change remembers other addresses of an attachment, or forgets them, and sees that this
// is written unless it is what is stored; mu is held.
func (m *Memory) change(networkID, key string, to Addresses) {
	before := m.byNetwork[networkID][key]
	if before == to {
		return
	}
	m.byNetwork.set(networkID, key, to)
	if m.unwritten[networkID] == nil {
		m.unwritten[networkID] = map[string]Addresses{}
	}
	stored, known := m.unwritten[networkID][key]
	switch {
	case !known:
		m.unwritten[networkID][key] = before
	case stored == to:
		delete(m.unwritten[networkID], key)
	}
	if len(m.unwritten[networkID]) == 0 {
		delete(m.unwritten, networkID)
	}
	m.awake()
}

// awake sees that what is unwritten is written.
func (m *Memory) awake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Of returns what a plugin is told of a network.
func (m *Memory) Of(networkID string) []*pluginv1.Reservation {
	m.mu.Lock()
	defer m.mu.Unlock()
	addresses := m.byNetwork[networkID]
	out := make([]*pluginv1.Reservation, 0, len(addresses))
	for _, key := range slices.Sorted(maps.Keys(addresses)) {
		out = append(out, &pluginv1.Reservation{Key: key, Ipv4Address: addressText(addresses[key].IPv4), Ipv6Address: addressText(addresses[key].IPv6)})
	}
	return out
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Run writes changes until ctx ends, and the last ones then.
func (m *Memory) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-m.wake:
		case <-ctx.Done():
		}
		select {
		case <-time.After(writeDelay):
		case <-ctx.Done():
		}
		m.write()
	}
	m.write() // what came at the end
}

// write writes what has changed, at once; what fails is tried again with the next change.
func (m *Memory) write() {
	m.mu.Lock()
	former := m.unwritten
	m.unwritten = addresses{}
	changed := map[string]*Remembered{}
	for id := range former {
		changed[id] = nil
		if now := m.byNetwork[id]; len(now) > 0 {
			changed[id] = &Remembered{NetworkID: id, Addresses: maps.Clone(now)}
		}
	}
	m.mu.Unlock()
	if len(changed) == 0 {
		return
	}
	if err := m.stored.Change(changed); err != nil {
		m.log.Warn("addresses of attachments are not remembered over a reboot", "error", err)
		m.restore(former)
	}
}

// restore makes unwritten what could not be written, and what has changed since.
func (m *Memory) restore(former addresses) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, stored := range former {
		if since := m.unwritten[id]; since != nil {
			maps.Copy(since, stored)
		} else {
			m.unwritten[id] = stored
		}
	}
}
