package connection

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
)

// TestTransaction: a transaction is what the library makes of the same elements, but that one
// message has an answer, and that keys alone are taken away where a map may say something else.
func TestTransaction(t *testing.T) {
	t.Parallel()
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "patchbay"}
	plain := &nftables.Set{Table: table, ID: 7, Name: "bridges"}
	jumps := &nftables.Set{Table: table, ID: 8, Name: "to", IsMap: true}
	ports := &nftables.Set{Table: table, ID: 9, Name: "published", IsMap: true}
	element := func(set *nftables.Set, value nftables.SetElement) Element { return Element{Set: set, Value: value} }
	mixed := []Element{
		element(plain, nftables.SetElement{Key: []byte("eth0\x00\x00\x00\x00"), Comment: "0123456789abcdef"}),
		element(jumps, nftables.SetElement{Key: []byte("pbr0"), VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: "nat"}, Comment: "odd"}),
		element(plain, nftables.SetElement{Key: []byte("eth1\x00\x00")}),
		element(ports, nftables.SetElement{Key: []byte{6, 0, 0, 0, 0, 80}, Val: []byte{10, 0, 0, 2, 0, 80, 0, 0}, Comment: "a"}),
		element(jumps, nftables.SetElement{Key: []byte("pbr1"), VerdictData: &expr.Verdict{Kind: expr.VerdictDrop}}),
	}
	many := make([]Element, maxPerMessage+3)
	for i := range many {
		many[i] = element(plain, nftables.SetElement{Key: fmt.Appendf(nil, "%08d", i), Comment: "b"})
	}
	for name, all := range map[string][]Element{"mixed": mixed, "many": many} {
		for kind, test := range map[string]struct {
			steps   []step
			library func(*nftables.Conn, []Element) error
		}{
			"add":    {[]step{put}, Add},
			"remove": {[]step{take}, Remove},
			"cancel": {[]step{put, takeKeys}, cancel},
		} {
			var tr transaction
			for range 2 { // the second one begins with the memory of the first
				first, last := tr.encode(all, test.steps)
				want, answered := encodedByLibrary(t, first, func(c *nftables.Conn) error { return test.library(c, all) })
				if !bytes.Equal(tr.out, want) {
					t.Errorf("%s %s: got\n%x, want\n%x", kind, name, tr.out, want)
				}
				if last != answered {
					t.Errorf("%s %s: the answer is awaited to message %d, want %d", kind, name, last, answered)
				}
			}
		}
	}
}

// cancel is Connection.Cancel by the library.
func cancel(c *nftables.Conn, all []Element) error {
	return change(c, all, func(set *nftables.Set, elements []nftables.SetElement) error {
		if err := c.SetAddElements(set, elements); err != nil {
			return err
		}
		keys := make([]nftables.SetElement, len(elements))
		for i, e := range elements {
			keys[i].Key = e.Key
		}
		return c.SetDeleteElements(set, keys)
	})
}

// encodedByLibrary is one transaction of the library, its messages numbered from first on, and
// the number of the one that is answered.
func encodedByLibrary(t *testing.T, first uint32, do func(*nftables.Conn) error) (out []byte, answered uint32) {
	t.Helper()
	dial := func(messages []netlink.Message) ([]netlink.Message, error) {
		for i, m := range messages {
			m.Header.Sequence, m.Header.PID = first+uint32(i), 0
			m.Header.Flags &^= netlink.Acknowledge
			if i == len(messages)-2 {
				m.Header.Flags |= netlink.Acknowledge
				answered = m.Header.Sequence
			}
			encoded, err := m.MarshalBinary()
			if err != nil {
				return nil, err
			}
			out = append(out, encoded...)
		}
		return nil, io.EOF // nothing failed
	}
	c, err := nftables.New(nftables.WithTestDial(dial))
	if err != nil {
		t.Fatal(err)
	}
	if err := do(c); err != nil {
		t.Fatal(err)
	}
	return out, answered
}
