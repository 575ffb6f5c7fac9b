package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"go.etcd.io/bbolt"
)

// Migration turns the value of a record of one schema into that of the next.
type Migration = func(json.RawMessage) (json.RawMessage, error)

// CollectionConfig describes the records of one kind.
type CollectionConfig struct {
	// Name of the collection, e.g. "networks". Records are named after it in
	// errors.
	Name string
	// Schema is the number that new records get.
	Schema int
	// Migrate has, for every older schema N, what turns it into N+1.
	Migrate map[int]Migration
}

// Collection is the records of one kind in a store, by id. It is safe for
// concurrent use. T is stored as JSON.
type Collection[T any] struct {
	store  *Store
	config CollectionConfig
}

// versioned is the stored form. A record without a schema number is of schema 0.
type versioned struct {
	Schema int             `json:"schema"`
	Value  json.RawMessage `json:"value"`
}

// NewCollection returns the records of one kind; there are none at first.
func NewCollection[T any](s *Store, c CollectionConfig) (*Collection[T], error) {
	if c.Name == "" || c.Schema < 0 {
		return nil, fmt.Errorf("collection %q, schema %d: want a name and a number from 0: %w", c.Name, c.Schema, errdefs.ErrInvalidArgument)
	}
	return &Collection[T]{store: s, config: c}, nil
}

// Get returns a record, or errdefs.ErrNotFound.
func (c *Collection[T]) Get(id string) (T, error) {
	var out T
	err := c.view(func(b *bbolt.Bucket, newer map[string]record) error {
		data := []byte(newer[id].Value)
		if _, found := newer[id]; !found && b != nil {
			data = b.Get([]byte(id))
		}
		if data == nil {
			return fmt.Errorf("%s: no record: %w", c.name(id), errdefs.ErrNotFound)
		}
		var err error
		out, err = c.decode(id, data)
		return err
	})
	return out, err
}

// List returns all records in the order of their ids. Records that cannot be
// read are left out and named in the error; the rest is returned with it.
func (c *Collection[T]) List() ([]T, error) {
	var out []T
	var faults []error
	err := c.view(func(b *bbolt.Bucket, newer map[string]record) error {
		all := map[string][]byte{}
		if b != nil {
			_ = b.ForEach(func(id, data []byte) error { // which returns what this does
				if !bytes.Equal(id, witnessID) {
					all[string(id)] = data
				}
				return nil
			})
		}
		for id, r := range newer {
			all[id] = r.Value
		}
		for _, id := range slices.Sorted(maps.Keys(all)) {
			if all[id] == nil {
				continue // deleted
			}
			v, err := c.decode(id, all[id])
			if err != nil {
				faults = append(faults, err)
				continue
			}
			out = append(out, v)
		}
		return nil
	})
	return out, errors.Join(append(faults, err)...)
}

// Roomy reports whether there is so much room for the store that none of a few changes will be
// refused for lack of it.
func (c *Collection[T]) Roomy() bool { return c.store.roomy() }

// Put stores a record, new or in place of an older one.
func (c *Collection[T]) Put(id string, v T) error { return c.Change(map[string]*T{id: &v}) }

// Delete removes a record; one that is not there is no error.
func (c *Collection[T]) Delete(id string) error { return c.Change(map[string]*T{id: nil}) }

// Change puts records, by their ids, and deletes those that are nil, all of them or none.
func (c *Collection[T]) Change(records map[string]*T) error {
	ids := slices.Sorted(maps.Keys(records))
	change := make([]record, len(ids))
	for i, id := range ids {
		if len(id) == 0 || len(id) > bbolt.MaxKeySize {
			return fmt.Errorf("%s: want an id of 1 to %d bytes: %w", c.name(id), bbolt.MaxKeySize, errdefs.ErrInvalidArgument)
		}
		change[i] = record{Collection: c.config.Name, ID: id}
		if records[id] == nil {
			continue
		}
		var err error
		if change[i].Value, err = c.encode(id, *records[id]); err != nil {
			return err
		}
	}
	return c.store.update(c.name(strings.Join(ids, ",")), change)
}

// view calls f with the records that the database has, nil if none, and those that are newer.
func (c *Collection[T]) view(f func(b *bbolt.Bucket, newer map[string]record) error) error {
	return c.store.commits.pending.view(c.store.db, c.config.Name, func(tx *bbolt.Tx, newer map[string]record) error {
		return f(tx.Bucket([]byte(c.config.Name)), newer)
	})
}

func (c *Collection[T]) name(id string) string { return c.config.Name + "/" + id }

// encode is the stored form of a record.
func (c *Collection[T]) encode(id string, v T) ([]byte, error) {
	value, err := json.Marshal(v)
	if err == nil {
		value, err = json.Marshal(versioned{Schema: c.config.Schema, Value: value})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", c.name(id), err)
	}
	return value, nil
}

// decode reads a record of any schema up to the collection's.
func (c *Collection[T]) decode(id string, data []byte) (T, error) {
	var out T
	var r versioned
	if err := json.Unmarshal(data, &r); err != nil {
		return out, fmt.Errorf("%s: is damaged (%w): %w", c.name(id), err, errdefs.ErrDataLoss)
	}
	if r.Schema > c.config.Schema {
		return out, fmt.Errorf("%s: was written by a newer patchbay (schema %d, want at most %d): %w",
			c.name(id), r.Schema, c.config.Schema, errdefs.ErrFailedPrecondition)
	}
	for n := r.Schema; n < c.config.Schema; n++ {
		migrate := c.config.Migrate[n]
		if migrate == nil {
			return out, fmt.Errorf("%s: is of schema %d, which is no longer known: %w", c.name(id), n, errdefs.ErrFailedPrecondition)
		}
		value, err := migrate(r.Value)
		if err != nil {
			return out, fmt.Errorf("%s: from schema %d to %d: %w", c.name(id), n, n+1, err)
		}
		r.Value = value
	}
	if err := json.Unmarshal(r.Value, &out); err != nil {
		return out, fmt.Errorf("%s: is damaged (%w): %w", c.name(id), err, errdefs.ErrDataLoss)
	}
	return out, nil
}
