//go:build integration

package connection_test

import (
	"errors"
	"testing"

	"github.com/google/nftables"

	"patchbay.dev/patchbay/internal/firewall/connection"
	"patchbay.dev/patchbay/internal/netnstest"
)

// What is read while somebody changes something is read again, and not for ever.
func TestSettled(t *testing.T) {
	t.Parallel()
	const most = 10
	for name, c := range map[string]struct{ changes, want int }{
		"nobody changes anything":           {0, 1},
		"somebody does once":                {1, 2},
		"somebody does twice":               {2, 3},
		"somebody never stops changing any": {most + 1, most},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := netnstest.New(t)
			reader, writer := connection.To(ns), connection.To(ns)
			defer func() { _, _ = reader.Close(), writer.Close() }()
			reads, seen := 0, 0
			err := reader.Settled(func(conn *nftables.Conn) error {
				reads++
				have, err := conn.ListTables()
				if err != nil {
					return err
				}
				seen = len(have)
				if reads > c.changes {
					return nil
				}
				return writer.Tables(func(conn *nftables.Conn) error {
					addTable(conn, "changed"+string(rune('a'+reads)))
					return conn.Flush()
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			if reads != c.want {
				t.Errorf("was read %d times, want %d", reads, c.want)
			}
			if c.changes < most && seen != c.changes {
				t.Errorf("saw %d tables at last, want %d", seen, c.changes)
			}
		})
	}
}

func TestSettledFails(t *testing.T) {
	t.Parallel()
	c := connection.To(netnstest.New(t))
	defer func() { _ = c.Close() }()
	failure, reads := errors.New("as in the test"), 0
	err := c.Settled(func(*nftables.Conn) error { reads++; return failure })
	if !errors.Is(err, failure) || reads != 1 {
		t.Errorf("got error %v after %d reads, want that of the function after 1", err, reads)
	}
	if err := c.Settled(func(*nftables.Conn) error { return nil }); err != nil {
		t.Errorf("after it has failed: %v", err)
	}
}
