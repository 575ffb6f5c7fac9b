package bridge

import (
	"net/netip"
	"testing"
)

func TestStale(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("fd09::2")
	var s stale
	want := func(step string, first, second bool) {
		t.Helper()
		if s.any([]netip.Addr{a}) != first || s.any([]netip.Addr{b}) != second {
			t.Errorf("%s: got %v, want %v and %v", step, s.addresses, first, second)
		}
	}
	want("nothing yet", false, false)
	s.add([]netip.Addr{a, b}, 1)
	want("both", true, true)
	s.add([]netip.Addr{a}, 1)
	s.add([]netip.Addr{a, b}, -1)
	want("one of them twice", true, false)
	s.add([]netip.Addr{a}, -1)
	want("none", false, false)
	if len(s.addresses) != 0 {
		t.Errorf("got %v, want an empty map", s.addresses)
	}
}
