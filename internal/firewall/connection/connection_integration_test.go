//go:build integration

package connection_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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

// TestHasElements: of a set that has any no more is read than it takes to know.
func TestHasElements(t *testing.T) {
	t.Parallel()
	c := connection.To(netnstest.New(t))
	defer func() { _ = c.Close() }()
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "a"}
	set := &nftables.Set{Table: table, Name: "s", KeyType: nftables.TypeMark}
	const many = 5000
	all := make([]connection.Element, many)
	for i := range all {
		key := binary.BigEndian.AppendUint32(nil, uint32(i))
		all[i] = connection.Element{Set: set, Value: nftables.SetElement{Key: key, Comment: "0123456789abcdef"}}
	}
	var last *nftables.Conn
	same := func() (same bool) {
		err := c.Tables(func(conn *nftables.Conn) error { same, last = conn == last, conn; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return same
	}
	same()
	if has, err := c.HasElements(set); has || !errors.Is(err, unix.ENOENT) {
		t.Errorf("without the set: %v, %v, want ENOENT", has, err)
	}
	err := c.Tables(func(conn *nftables.Conn) error {
		conn.AddTable(table)
		return errors.Join(conn.AddSet(set, nil), conn.Flush())
	})
	if err != nil {
		t.Fatal(err)
	}
	same()
	if has, err := c.HasElements(set); has || err != nil {
		t.Errorf("of an empty set: %v, %v, want none", has, err)
	}
	if !same() {
		t.Error("the connection is closed though nothing of an answer is left in it")
	}
	if err := c.Add(all); err != nil {
		t.Fatal(err)
	}
	if has, err := c.HasElements(set); !has || err != nil {
		t.Errorf("of a set with %d: %v, %v, want some", many, has, err)
	}
	if same() {
		t.Error("the connection is not closed: all of the set was read")
	}
}
