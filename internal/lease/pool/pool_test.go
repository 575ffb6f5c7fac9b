package pool_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay.dev/patchbay/internal/lease/pool"
)

// small is a pool with more IPv4 than IPv6 addresses: one of the latter is left.
func small() *pool.Pool {
	return pool.New(pool.Config{
		ID: "1234", Name: "a",
		IPv4Subnet: netip.MustParsePrefix("10.0.0.0/29"), IPv6Subnet: netip.MustParsePrefix("fd00::/127"),
		Excluded: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::"), {}},
		Owner:    func(key string) string { return "box-" + key },
	})
}

// A key that cannot have an address of each family is as if it had not asked, and gets
// what it had when it asks again.
func TestTakeIsAllOrNothing(t *testing.T) {
	t.Parallel()
	p := small()
	had := pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.5")}
	p.Remember("b", had)
	if _, err := p.Take("a", pool.Addresses{}, pool.Addresses{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Take("b", pool.Addresses{}, had); !errors.Is(err, errdefs.ErrResourceExhausted) || !strings.Contains(err.Error(), "network a") {
		t.Fatalf("the second IPv6 address: %v, want network a to have no more", err)
	}
	if v4, v6 := p.Usage(); v4.InUse != 1 || v6.InUse != 1 {
		t.Errorf("in use %d, %d, want 1, 1", v4.InUse, v6.InUse)
	}
	p.Free("a")
	p.Forget("a")
	got, err := p.Take("b", pool.Addresses{}, had)
	if err != nil || got.IPv4 != had.IPv4 {
		t.Errorf("got %v, %v, want %v as before", got.IPv4, err, had.IPv4)
	}
}

func TestCheckNamesOwners(t *testing.T) {
	t.Parallel()
	p := small()
	got, err := p.Take("a", pool.Addresses{}, pool.Addresses{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check("a", got); err != nil {
		t.Errorf("what it has itself: %v", err)
	}
	err = p.Check("b", got)
	if !errors.Is(err, errdefs.ErrAlreadyExists) || strings.Count(err.Error(), "container box-a on network a") != 3 {
		t.Errorf("what another one has: %v, want three owners", err)
	}
	p.Free("a")
	p.FreeMAC("b", got.MAC) // not its own
	if err := p.Check("b", pool.Addresses{MAC: got.MAC}); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("a MAC address that another key freed: %v", err)
	}
	p.FreeMAC("a", got.MAC)
	if err := p.Check("b", got); err != nil {
		t.Errorf("what has been freed: %v", err)
	}
}

// What is set aside is kept from others, with and without its key.
func TestReserve(t *testing.T) {
	t.Parallel()
	p := small()
	aside := pool.Addresses{IPv4: netip.MustParseAddr("10.0.0.4"), MAC: "02:00:00:00:00:04"}
	if err := p.Reserve("a", aside); err != nil {
		t.Fatal(err)
	}
	if err := p.Check("b", aside); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("set aside for another key: %v", err)
	}
	got, err := p.Take("a", pool.Addresses{MAC: aside.MAC}, pool.Addresses{})
	if err != nil {
		t.Fatal(err)
	}
	aside.IPv6 = got.IPv6
	if diff := cmp.Diff(aside, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("of its key (-want +got):\n%s", diff)
	}
	p.Free("a")
	p.Unreserve("a")
	p.Forget("a")
	if err := p.Check("b", pool.Addresses{IPv4: aside.IPv4}); err != nil {
		t.Errorf("not set aside any more: %v", err)
	}
}
