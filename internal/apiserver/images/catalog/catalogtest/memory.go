// Package catalogtest has what tests of the catalog of images, and of who has one,
// store records in.
package catalogtest

import (
	"sync"

	"github.com/containerd/errdefs"
)

// Memory is a collection that outlives the catalogs of one test.
type Memory[T any] struct {
	mu   sync.Mutex
	data map[string]T // guarded by mu
	fail error        // guarded by mu; of Put
}

// NewMemory makes an empty collection.
func NewMemory[T any]() *Memory[T] { return &Memory[T]{data: map[string]T{}} }

// Fail has Put fail from now on; nil: no longer.
func (m *Memory[T]) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// List returns what is stored.
func (m *Memory[T]) List() ([]T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []T
	for _, v := range m.data {
		list = append(list, v)
	}
	return list, nil
}

// Put stores v under id.
func (m *Memory[T]) Put(id string, v T) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.data[id] = v
	return nil
}

// Delete removes what is stored under id. ErrNotFound if there is nothing.
func (m *Memory[T]) Delete(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.data[id]; !ok {
		return errdefs.ErrNotFound
	}
	delete(m.data, id)
	return nil
}
