package lease_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"patchbay.dev/patchbay/internal/lease"
	"patchbay.dev/patchbay/resource"
)

// FuzzFiles checks that a table opens with whatever is in a stored entry, and gives
// a key that is not in it an address of the network.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(`{"key":"a/0","owner":"box","remembered":{"ipv4":"10.0.0.2","ipv6":"fd00::2","mac":"02:00:00:00:00:01"},"freedAt":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"key":"a/0","reserved":{"ipv4":"10.9.0.2"},"lease":{"state":"held","attachment":{"ipv4Address":"10.0.0.3/29"}}}`))
	f.Add([]byte(`{"key":"a/0","lease":{"state":"pending","attachment":{"ipv4Address":"10.0.0.1/29","ipv6Address":"10.0.0.2/8"},"expiresAt":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"key":"a/0","lease":null,"reserved":{"ipv6":"fe80::1%eth0"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, "a%2F0.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := lease.NewTable(lease.Config{Directory: directory, Log: slog.New(slog.DiscardHandler), Notify: func() {}, Used: func() {}})
		if err != nil {
			return
		}
		defer table.Close()
		table.Open(&lease.Opened{Network: newFake(), ID: "0123456789abcdef", Name: "net", Realization: realization})
		l := allocate(t, table, "b/0", resource.AttachmentConfiguration{})
		if a := l.Attachment; !realization.IPv4Subnet.Contains(a.IPv4Address.Addr()) || a.IPv4Address.Addr() == realization.IPv4Gateway {
			t.Errorf("got %v", a.IPv4Address)
		}
	})
}
