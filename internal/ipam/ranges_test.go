package ipam_test

import (
	"math"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/ipam"
	"patchbay.dev/patchbay/resource"
)

func ranges(t *testing.T, all ...string) []resource.AddressRange {
	t.Helper()
	var out []resource.AddressRange
	for _, s := range all {
		r, err := resource.ParseAddressRange(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestRangesAreGivenOnRequestOnly(t *testing.T) {
	t.Parallel()
	a := ipam.NewAllocator(prefix("10.0.0.0/28"), addr("10.0.0.1"))
	a.SetRanges(ranges(t, "10.0.0.8/29", "10.0.0.0/30", "10.0.0.3-10.0.0.4", "fd00::/64", "10.9.0.0/16"))
	got := take(t, a)
	for i, want := range []string{"10.0.0.5", "10.0.0.6", "10.0.0.7"} {
		if len(got) != 3 || got[i] != want {
			t.Fatalf("got %v, want 10.0.0.5 to 10.0.0.7", got)
		}
	}
	if _, err := a.Allocate("more"); !errdefs.IsResourceExhausted(err) {
		t.Errorf("got %v, want exhausted", err)
	}
	if err := a.AllocateAddress("static", addr("10.0.0.9")); err != nil {
		t.Errorf("on request: %v", err)
	}
	// .2 to .4 and .8 to .14; .1 is the gateway, .0 and .15 are nobody's.
	if a.Total() != 13 || a.Reserved() != 10 {
		t.Errorf("total %d, reserved %d, want 13 and 10", a.Total(), a.Reserved())
	}
}

func TestRangeThatComesLaterTakesNothingAway(t *testing.T) {
	t.Parallel()
	a := ipam.NewAllocator(prefix("10.0.0.0/29"))
	held, err := a.Allocate("held")
	if err != nil {
		t.Fatal(err)
	}
	freed, err := a.Allocate("freed")
	if err != nil {
		t.Fatal(err)
	}
	a.Free("freed")
	a.SetRanges(ranges(t, "10.0.0.0/30"))
	if again, err := a.Allocate("held"); err != nil || again != held {
		t.Errorf("got %v, %v, want %v still", again, err, held)
	}
	if again, err := a.Allocate("freed"); err != nil || again == freed {
		t.Errorf("got %v, %v, want another than %v", again, err, freed)
	}
	a.SetRanges(nil)
	if n := a.Reserved(); n != 0 {
		t.Errorf("got %d reserved, want none", n)
	}
	if all := take(t, a); !slices.Contains(all, freed.String()) {
		t.Errorf("got %v, want %v among them", all, freed)
	}
}

func TestRangesOfVastSubnet(t *testing.T) {
	t.Parallel()
	a := ipam.NewAllocator(prefix("fd00::/64"))
	a.SetRanges(ranges(t, "fd00::/65"))
	if got, err := a.Allocate("a"); err != nil || got != addr("fd00::8000:0:0:0") {
		t.Errorf("got %v, %v, want the first behind the range", got, err)
	}
	a.SetRanges(ranges(t, "fd00::/64"))
	if _, err := a.Allocate("b"); !errdefs.IsResourceExhausted(err) {
		t.Errorf("got %v, want exhausted", err)
	}
	if n := a.Reserved(); n < math.MaxUint64-1 {
		t.Errorf("got %d, want all", n)
	}
}
