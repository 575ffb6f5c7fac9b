package lease_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"patchbay.dev/patchbay/resource"
)

// What a container's lease costs from its allocation to its release, its file
// included, beside others.
func BenchmarkAllocateRelease(b *testing.B) {
	for _, many := range []int{0, 1000} {
		b.Run(fmt.Sprintf("beside %d", many), func(b *testing.B) {
			r := realization
			r.IPv4Subnet, r.IPv4Gateway = netip.MustParsePrefix("10.8.0.0/16"), netip.MustParseAddr("10.8.0.1")
			table := open(b, b.TempDir(), newFake(), r)
			for i := range many {
				allocate(b, table, fmt.Sprintf("box%d", i), resource.AttachmentConfiguration{Network: "net"})
			}
			b.ReportAllocs()
			for b.Loop() {
				allocate(b, table, "one", resource.AttachmentConfiguration{Network: "net"})
				if err := table.Release(context.Background(), "one", true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
