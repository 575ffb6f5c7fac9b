//go:build integration

package connection_test

import (
	"errors"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"patchbay.dev/patchbay/internal/firewall/connection"
	"patchbay.dev/patchbay/internal/netns"
	"patchbay.dev/patchbay/internal/netnstest"
)

// addTable puts a table into a transaction.
func addTable(c *nftables.Conn, name string) {
	c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: name})
}

func tables(t *testing.T, ns *netns.Namespace) (names string) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		names += table.Name + " "
	}
	return names
}

// What succeeds keeps the connection, so that nothing waits for its end; what fails ends
// it, so that nothing of it reaches what comes next.
func TestConnection(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	c := connection.To(ns)
	defer func() { _ = c.Close() }()
	failure := errors.New("as in the test")

	var used []*nftables.Conn
	change := func(name string, then error) error {
		return c.Tables(func(conn *nftables.Conn) error {
			used = append(used, conn)
			addTable(conn, name)
			if then != nil {
				return then
			}
			return conn.Flush()
		})
	}
	for _, name := range []string{"a", "b"} {
		if err := change(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := change("never", failure); !errors.Is(err, failure) {
		t.Errorf("got error %v, want that of the function", err)
	}
	if err := change("c", nil); err != nil {
		t.Fatal(err)
	}
	if used[0] != used[1] || used[1] != used[2] {
		t.Error("a change that succeeded has closed the connection")
	}
	if used[2] == used[3] {
		t.Error("a connection by which something failed is used again")
	}
	if got, want := tables(t, ns), "a b c "; got != want {
		t.Errorf("tables: %q, want %q", got, want)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := change("d", nil); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
}

func TestFlows(t *testing.T) {
	t.Parallel()
	c := connection.To(netnstest.New(t))
	defer func() { _ = c.Close() }()
	var used [2]*netlink.Handle
	for i := range used {
		err := c.Flows(func(h *netlink.Handle) error {
			used[i] = h
			_, err := h.ConntrackTableList(netlink.ConntrackTable, netlink.FAMILY_V4)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if used[0] != used[1] {
		t.Error("the connection was closed in between")
	}
}
