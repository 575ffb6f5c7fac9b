package frameswitch

import (
	"net/netip"
	"testing"
)

// Each frame of a user-mode network is looked at like this.
func BenchmarkMay(b *testing.B) {
	own := MAC{2, 0, 0, 0, 0, 1}
	s := Sender{MAC: own, IPv4: netip.MustParseAddr("10.0.0.2"), IPv6: netip.MustParseAddr("fd00::2")}
	for name, frame := range map[string][]byte{
		"IPv4": ethernet(own, 0x0800, ip4("10.0.0.2", 17, 0, ports(1000, 53)...)...),
		"IPv6": ethernet(own, 0x86dd, ip6("fd00::2", 17, ports(1000, 53)...)...),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.May(frame) {
					b.Fatal("refused")
				}
			}
		})
	}
}
