package index_test

import (
	"errors"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/containers/index"
	"patchbay.dev/patchbay/resource"
)

type entry struct {
	resource.Metadata
	hidden bool
}

func (e *entry) Described() resource.Metadata { return e.Metadata }
func (e *entry) Hidden() bool                 { return e.hidden }

func named(id, name string, age time.Duration) *entry {
	return &entry{Metadata: resource.Metadata{ID: id, Name: name, CreatedAt: time.Unix(1e9, 0).Add(-age)}}
}

func TestFind(t *testing.T) {
	t.Parallel()
	x := index.New[*entry]()
	old, young, hidden := named("aaaa1111", "old", time.Hour), named("aaaa2222", "young", 0), named("bbbb", "hidden", 0)
	hidden.hidden = true
	byID := named("cccc", "aaaa1111", 0) // names win
	for _, e := range []*entry{old, young, hidden, byID} {
		if err := x.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		want *entry
		kind error
	}{
		"old": {old, nil}, "aaaa2222": {young, nil}, "aaaa2": {young, nil}, "aaaa1111": {byID, nil},
		"aaaa": {nil, errdefs.ErrInvalidArgument}, "hidden": {nil, errdefs.ErrNotFound}, "bbbb": {nil, errdefs.ErrNotFound}, "bb": {nil, errdefs.ErrNotFound},
	} {
		if got, err := x.Find(name); !errors.Is(err, tc.kind) || err == nil && got != tc.want {
			t.Errorf("%s: got %v, %v; want %v, %v", name, got, err, tc.want, tc.kind)
		}
	}
	for _, taken := range []*entry{named("dddd", "hidden", 0), named("bbbb", "other", 0)} {
		if err := x.Add(taken); !errors.Is(err, errdefs.ErrAlreadyExists) {
			t.Errorf("%v: %v, want it refused", taken, err)
		}
	}
	if got := x.Sorted(); len(got) != 3 || got[2] != old {
		t.Errorf("sorted: %v, want the oldest of three last, and none that is hidden", got)
	}
	x.Remove(young)
	if x.Has(young) || x.IsTaken("young") || !x.Has(old) {
		t.Error("removed: want that one gone, and no other")
	}
}
