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

// writeDelay is how long what attachments have got may be unwritten: a start
// does not wait for the disk, and a container that is gone by then costs nothing.
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
	Put(networkID string, r Remembered) error
	Delete(networkID string) error
}

// Memory is what is remembered, of which it writes the changes behind. It is safe
// for concurrent use.
type Memory struct {
	stored Records
	log    *slog.Logger
	wake   chan struct{} // with room for one: there is something to write

	mu        sync.Mutex
	byNetwork map[string]map[string]Addresses // guarded by mu; by the network's id, then by key
	unwritten map[string]bool                 // guarded by mu; by the network's id
}

// NewMemory reads what is stored of networks that there still are. What cannot be
// read is forgotten: addresses are chosen anew then.
func NewMemory(stored Records, networks []resource.StoredNetwork, log *slog.Logger) *Memory {
	m := &Memory{stored: stored, log: log, wake: make(chan struct{}, 1), byNetwork: map[string]map[string]Addresses{}, unwritten: map[string]bool{}}
	all, err := stored.List()
	if err != nil {
		log.Warn("some addresses of attachments are not remembered", "error", err)
	}
	for _, r := range all {
		if !slices.ContainsFunc(networks, func(n resource.StoredNetwork) bool { return n.ID == r.NetworkID }) {
			m.changed(r.NetworkID)
		} else if r.Addresses != nil {
			m.byNetwork[r.NetworkID] = r.Addresses
		}
	}
	return m
}

// Note remembers what an attachment has got.
func (m *Memory) Note(networkID, key string, a resource.Attachment) {
	got := Addresses{a.IPv4Address.Addr(), a.IPv6Address.Addr()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byNetwork[networkID][key] == got {
		return
	}
	if m.byNetwork[networkID] == nil {
		m.byNetwork[networkID] = map[string]Addresses{}
	}
	m.byNetwork[networkID][key] = got
	m.changed(networkID)
}

// Forget forgets one attachment.
func (m *Memory) Forget(networkID, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, has := m.byNetwork[networkID][key]; has {
		delete(m.byNetwork[networkID], key)
		m.changed(networkID)
	}
}

// Drop forgets a network.
func (m *Memory) Drop(networkID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, has := m.byNetwork[networkID]; has {
		delete(m.byNetwork, networkID)
		m.changed(networkID)
	}
}

// changed sees that a network is written; mu is held.
func (m *Memory) changed(networkID string) {
	m.unwritten[networkID] = true
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

// write writes what has changed; what fails is tried again with the next change.
func (m *Memory) write() {
	m.mu.Lock()
	changed := slices.Sorted(maps.Keys(m.unwritten))
	clear(m.unwritten)
	m.mu.Unlock()
	for _, id := range changed {
		m.mu.Lock()
		addresses := maps.Clone(m.byNetwork[id])
		m.mu.Unlock()
		var err error
		if len(addresses) == 0 {
			err = m.stored.Delete(id)
		} else {
			err = m.stored.Put(id, Remembered{NetworkID: id, Addresses: addresses})
		}
		if err != nil {
			m.log.Warn("addresses of attachments are not remembered over a reboot", "network", id, "error", err)
			m.mu.Lock()
			m.unwritten[id] = true
			m.mu.Unlock()
		}
	}
}
