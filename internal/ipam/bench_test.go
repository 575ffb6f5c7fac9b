package ipam_test

import (
	"fmt"
	"net/netip"
	"testing"

	"patchbay.dev/patchbay/internal/ipam"
)

// What one more address costs beside many that are given out.
func BenchmarkAllocateFree(b *testing.B) {
	for _, many := range []int{0, 1000, 60000} {
		b.Run(fmt.Sprintf("beside %d", many), func(b *testing.B) {
			a := ipam.NewAllocator(netip.MustParsePrefix("10.9.0.0/16"))
			for i := range many {
				if _, err := a.Allocate(fmt.Sprint(i)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Allocate("one"); err != nil {
					b.Fatal(err)
				}
				a.Free("one")
			}
		})
	}
}
