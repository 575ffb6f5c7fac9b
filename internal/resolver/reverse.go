package resolver

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// reverseAddress returns the address whose name is asked for by a PTR query for
// name, which has no dot at its end and is in lower case (RFC 1035 section 3.5,
// RFC 3596 section 2.5).
func reverseAddress(name string) (netip.Addr, bool) {
	if digits, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(digits, ".")
		slices.Reverse(parts)
		a, err := netip.ParseAddr(strings.Join(parts, "."))
		return a, err == nil && a.Is4()
	}
	digits, ok := strings.CutSuffix(name, ".ip6.arpa")
	parts := strings.Split(digits, ".")
	if !ok || len(parts) != 32 {
		return netip.Addr{}, false
	}
	var bytes [16]byte
	for i, part := range parts {
		nibble, err := strconv.ParseUint(part, 16, 4)
		if err != nil || len(part) != 1 {
			return netip.Addr{}, false
		}
		bytes[15-i/2] |= byte(nibble) << (4 * (i % 2))
	}
	return netip.AddrFrom16(bytes), true
}
