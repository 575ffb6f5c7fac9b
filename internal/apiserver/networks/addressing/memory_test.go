package addressing

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// disk is Records in memory.
type disk struct {
	records map[string]Remembered
	writes  int
	fault   error
}

func (d *disk) List() ([]Remembered, error) {
	return slices.Collect(maps.Values(d.records)), nil
}

func (d *disk) Change(records map[string]*Remembered) error {
	d.writes++
	if d.fault != nil {
		return d.fault
	}
	for id, r := range records {
		if r == nil {
			delete(d.records, id)
		} else {
			d.records[id] = *r
		}
	}
	return nil
}

// TestMemory writes at the end what has changed, all at once, and reads it again; what
// is of no network goes.
func TestMemory(t *testing.T) {
	t.Parallel()
	d := &disk{records: map[string]Remembered{"gone": {NetworkID: "gone", Addresses: map[string]Addresses{"x/0": {}}}}}
	networks := []resource.StoredNetwork{{Metadata: resource.Metadata{ID: "web"}}, {Metadata: resource.Metadata{ID: "db"}}}
	open := func() (m *Memory, end func()) {
		m = NewMemory(d, networks, slog.New(slog.DiscardHandler))
		return m, func() {
			ended, end := context.WithCancel(t.Context())
			end()
			m.Run(ended)
		}
	}
	attachment := func(s string) resource.Attachment {
		return resource.Attachment{IPv4Address: netip.MustParsePrefix(s)}
	}
	m, end := open()
	m.Note("web", "a/0", attachment("10.0.0.2/24"))
	m.Note("web", "a/0", attachment("10.0.0.2/24"))
	m.Note("web", "b/0", attachment("10.0.0.3/24"))
	m.Note("db", "a/1", attachment("10.0.1.2/24"))
	m.Forget("db", "a/1") // a container that lived for a moment
	end()
	if len(d.records) != 1 || d.writes != 1 {
		t.Errorf("got %v after %d writes, want web alone after 1", d.records, d.writes)
	}
	m, end = open()
	if got := m.Of("web"); len(got) != 2 || got[0].GetKey() != "a/0" || got[0].GetIpv4Address() != "10.0.0.2" || got[0].GetIpv6Address() != "" {
		t.Errorf("got %v", got)
	}
	m.Note("web", "a/0", attachment("10.0.0.2/24"))
	m.Note("db", "a/1", attachment("10.0.1.2/24"))
	m.Forget("db", "a/1")
	m.Forget("web", "b/0")
	m.Note("web", "b/0", attachment("10.0.0.3/24"))
	end()
	if d.writes != 1 {
		t.Error("what is as it was before was written")
	}
	d.fault = errors.New("full")
	m.Note("web", "c/0", attachment("10.0.0.4/24"))
	end()
	d.fault = nil
	m.Forget("web", "b/0")
	end()
	if got := d.records["web"].Addresses; len(got) != 2 || got["c/0"] == (Addresses{}) {
		t.Errorf("got %v, want what could not be written before, and what has changed since", d.records)
	}
	m.Drop("web")
	end()
	if len(d.records) != 0 {
		t.Errorf("got %v of a network that is gone", d.records)
	}
}
