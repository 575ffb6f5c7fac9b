package strangers_test

import (
	"net/netip"
	"path/filepath"
	"testing"

	"patchbay.dev/patchbay/internal/lease/strangers"
)

// A set that is full has every address; one that is cleared none, neither of them later.
func TestFullSet(t *testing.T) {
	t.Parallel()
	path, other := filepath.Join(t.TempDir(), "s.json"), netip.MustParseAddr("fd00::1")
	open := func() *strangers.Set {
		s, err := strangers.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var all []netip.Addr
	for a := netip.MustParseAddr("10.0.0.0"); len(all) <= 1<<12; a = a.Next() {
		all = append(all, a)
	}
	s := open()
	if err := s.Add(all[1:]...); err != nil || s.Has(other) {
		t.Fatalf("one less than too many: has another address: %t; error %v", s.Has(other), err)
	}
	if err := s.Add(all[0]); err != nil || !s.Has(other) || !open().Has(other) {
		t.Errorf("too many: has another address: %t, later %t; error %v", s.Has(other), open().Has(other), err)
	}
	if err := s.Clear(); err != nil || s.Has(all[1]) || open().Has(all[1]) {
		t.Errorf("cleared: has an address: %t, later %t; error %v", s.Has(all[1]), open().Has(all[1]), err)
	}
}
