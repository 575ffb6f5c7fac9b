package store

import (
	"maps"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
)

// pending is what the database does not have yet, by collection and id. Reads look there first.
type pending struct {
	mu      sync.RWMutex
	records map[string]map[string]record // guarded by mu
}

func (p *pending) add(records []record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records == nil {
		p.records = map[string]map[string]record{}
	}
	for _, r := range records {
		if p.records[r.Collection] == nil {
			p.records[r.Collection] = map[string]record{}
		}
		p.records[r.Collection][r.ID] = r
	}
}

func (p *pending) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = nil
}

// all returns each record once, as it is to be.
func (p *pending) all() []record {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []record
	for _, c := range p.records {
		out = slices.AppendSeq(out, maps.Values(c))
	}
	return out
}

// view calls f with a snapshot of the database and what of a collection is newer than that.
func (p *pending) view(db *bbolt.DB, collection string, f func(*bbolt.Tx, map[string]record) error) error {
	p.mu.RLock() // until the snapshot is read: what is written meanwhile would be in neither
	defer p.mu.RUnlock()
	return db.View(func(tx *bbolt.Tx) error { return f(tx, p.records[collection]) })
}
