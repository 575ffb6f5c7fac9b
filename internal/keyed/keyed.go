// Package keyed has a mutex for each key, so that work on one thing never
// waits for work on another.
package keyed

import "sync"

// Mutex is a set of mutexes by key. The zero value is ready. Its memory is
// that of the keys locked or waited for now.
type Mutex struct {
	mu      sync.Mutex
	entries map[string]*entry // guarded by mu
}

type entry struct {
	lock sync.Mutex
	uses int // holder and waiters; guarded by Mutex.mu
}

// Lock waits until no one else holds key and returns what lets go of it; further
// calls of that do nothing.
func (m *Mutex) Lock(key string) (unlock func()) {
	m.mu.Lock()
	if m.entries == nil {
		m.entries = map[string]*entry{}
	}
	e := m.entries[key]
	if e == nil {
		e = &entry{}
		m.entries[key] = e
	}
	e.uses++
	m.mu.Unlock()

	e.lock.Lock()
	return sync.OnceFunc(func() { m.unlock(key, e) })
}

func (m *Mutex) unlock(key string, e *entry) {
	m.mu.Lock()
	e.uses--
	if e.uses == 0 {
		delete(m.entries, key)
	}
	m.mu.Unlock()
	e.lock.Unlock()
}
