//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"patchbay.dev/patchbay/internal/store"
	"patchbay.dev/patchbay/resource"
)

// A network that was stored before plugins were chosen gets the default one,
// and keeps its id, its name and its subnet.
func TestStoredNetworkIsMigrated(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := os.Mkdir(h.root, 0o700); err != nil {
		t.Fatal(err)
	}
	const id = "00000000000000aa"
	s, err := store.Open(filepath.Join(h.root, "patchbay.db"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := store.NewCollection[json.RawMessage](s, store.CollectionConfig{Name: "networks", Schema: 0})
	if err != nil {
		t.Fatal(err)
	}
	record := `{"id":"` + id + `","name":"old","createdAt":"2026-01-02T03:04:05Z","configuration":{"ipv4Subnet":"10.60.0.0/24"}}`
	if err := old.Put(id, json.RawMessage(record)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	h.up()
	eventually(t, settle, func() error {
		n := h.network("old")
		if n.ID != id || n.Configuration.Plugin != (resource.PluginInfo{Plugin: "bridge", Variant: "nat"}) ||
			n.Status.State != resource.NetworkReady || n.Status.IPv4Subnet.String() != "10.60.0.0/24" {
			return fmt.Errorf("got %+v", n)
		}
		return nil
	})
	h.patchbay("run", "--rm", "--network", "old", "box", "true")
	h.patchbay("network", "delete", "old")
}
