package ipam_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/ipam"
	"patchbay.dev/patchbay/resource"
)

func TestChooseSubnet4AvoidsAllThatIsUsed(t *testing.T) {
	t.Parallel()
	used := []netip.Prefix{prefix("0.0.0.0/0"), prefix("10.64.0.0/11"), prefix("10.112.0.1/13")}
	for i := range 500 {
		got, err := ipam.ChooseSubnet4(fmt.Sprint(i), nil, slices.Values(used))
		if err != nil {
			t.Fatal(err)
		}
		if err := ipam.CheckSubnet4(got); err != nil || got.Bits() != 24 || !got.Addr().IsPrivate() {
			t.Fatalf("got %v, %v, want a private /24", got, err)
		}
		for _, u := range append(used[1:], prefix("10.88.0.0/16"), prefix("10.96.0.0/12")) {
			if u.Overlaps(got) {
				t.Fatalf("got %v, which overlaps %v", got, u)
			}
		}
		used = append(used, got)
	}
}

func TestChooseSubnet4IsStableAndSpread(t *testing.T) {
	t.Parallel()
	seen := map[netip.Prefix]int{}
	for i := range 100 {
		a, _ := ipam.ChooseSubnet4(fmt.Sprint(i), nil, nil)
		if b, _ := ipam.ChooseSubnet4(fmt.Sprint(i), nil, nil); a != b {
			t.Fatalf("got %v and %v for the same seed", a, b)
		}
		seen[a]++
	}
	if len(seen) < 95 { // 100 of 4,096 in the first pool: one a collision is to be expected
		t.Errorf("got %d different subnets for 100 seeds", len(seen))
	}
}

func TestChooseSubnet4Exhausted(t *testing.T) {
	t.Parallel()
	if got, err := ipam.ChooseSubnet4("a", nil, slices.Values([]netip.Prefix{prefix("10.0.0.0/8")})); !errors.Is(err, errdefs.ErrResourceExhausted) {
		t.Errorf("got %v, %v, want exhausted", got, err)
	}
	// One left of the whole pool is found.
	var used []netip.Prefix
	for second := 64; second < 128; second++ {
		for third := range 256 {
			if p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(second), byte(third), 0}), 24); p != prefix("10.77.3.0/24") {
				used = append(used, p)
			}
		}
	}
	if got, err := ipam.ChooseSubnet4("a", nil, slices.Values(used)); got != prefix("10.77.3.0/24") {
		t.Errorf("got %v, %v, want the last one free", got, err)
	}
}

func TestChooseSubnet6(t *testing.T) {
	t.Parallel()
	a, err := ipam.ChooseSubnet6("0123456789abcdef", nil, nil)
	if err != nil || a.Bits() != 64 || !prefix("fd00::/8").Contains(a.Addr()) || ipam.CheckSubnet6(a) != nil {
		t.Fatalf("got %v, %v, want a unique-local /64", a, err)
	}
	if again, _ := ipam.ChooseSubnet6("0123456789abcdef", nil, slices.Values([]netip.Prefix{prefix("::/0"), prefix("fc00::/8")})); again != a {
		t.Errorf("got %v, want %v again", again, a)
	}
	if other, err := ipam.ChooseSubnet6("0123456789abcdef", nil, slices.Values([]netip.Prefix{a})); err != nil || other.Overlaps(a) {
		t.Errorf("got %v, %v, want one beside %v", other, err, a)
	}
}

func TestChooseSubnetFromPools(t *testing.T) {
	t.Parallel()
	pools := []resource.SubnetPool{{Base: prefix("10.0.0.0/24"), Size: 26}, {Base: prefix("10.9.0.0/30"), Size: 31}}
	var used []netip.Prefix
	for i := range 6 {
		got, err := ipam.ChooseSubnet4(fmt.Sprint(i), pools, slices.Values(used))
		if err != nil {
			t.Fatal(err)
		}
		if pool := pools[i/4]; got.Bits() != pool.Size || !pool.Base.Overlaps(got) {
			t.Errorf("subnet %d: got %v, want one of %v", i, got, pool)
		}
		used = append(used, got)
	}
	_, err := ipam.ChooseSubnet4("next", pools, slices.Values(used))
	for _, want := range []string{"10.0.0.0/24 in /26s", "10.9.0.0/30 in /31s", "ipv4 of [pools]"} {
		if !errors.Is(err, errdefs.ErrResourceExhausted) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want exhausted and %q", err, want)
		}
	}
	for _, pool := range []resource.SubnetPool{
		{Base: prefix("fd12:3456:789a::/48"), Size: 64},
		{Base: prefix("fd12::/16"), Size: 120},
		{Base: prefix("2001:db8::/32"), Size: 32},
	} {
		got, err := ipam.ChooseSubnet6("a", []resource.SubnetPool{pool}, nil)
		if err != nil || got.Bits() != pool.Size || got != got.Masked() || !pool.Base.Contains(got.Addr()) {
			t.Errorf("pool %v: got %v, %v", pool, got, err)
		}
	}
	if got, err := ipam.ChooseSubnet6("a", []resource.SubnetPool{{Base: prefix("10.0.0.0/8")}}, nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("a malformed pool: got %v, %v", got, err)
	}
}

// Very many small subnets are chosen one after another, none twice.
func TestChooseMany(t *testing.T) {
	t.Parallel()
	pools := []resource.SubnetPool{{Base: prefix("10.0.0.0/18"), Size: 28}}
	seen := map[netip.Prefix]bool{}
	var used []netip.Prefix
	for i := range 1024 {
		if i%64 == 0 { // all but the last few choices know of all others
			used = used[:0]
			for p := range seen {
				used = append(used, p)
			}
		}
		got, err := ipam.ChooseSubnet4(fmt.Sprint(i), pools, slices.Values(used))
		if err != nil {
			t.Fatalf("subnet %d: %v", i, err)
		}
		used = append(used, got)
		if seen[got] {
			t.Fatalf("subnet %d: %v was chosen before", i, got)
		}
		seen[got] = true
	}
}

// A choice beside many takes no more memory than the first, as long as one of its first
// candidates is free.
func TestChooseSubnetTakesNoMemory(t *testing.T) {
	var many []netip.Prefix
	for i := range 1000 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(1 + i/256), byte(i), 0}), 24))
	}
	cost := func(used []netip.Prefix) float64 {
		all := slices.Values(used)
		return testing.AllocsPerRun(10, func() {
			if _, err := ipam.ChooseSubnet4("a", nil, all); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, all := cost(many[:1]), cost(many); all > few {
		t.Errorf("%v allocations beside %d others, %v beside one", all, len(many), few)
	}
}
