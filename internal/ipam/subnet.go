// Package ipam chooses subnets and hands out the addresses of one. It touches
// nothing: what is in use on the host is for the caller to say.
package ipam

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
)

// Occupied is a prefix in use and by what, as in "network b".
type Occupied struct {
	By     string
	Prefix netip.Prefix
}

// CheckOverlap refuses a subnet that overlaps another one, naming the first
// such, with errdefs.ErrAlreadyExists.
func CheckOverlap(subnet netip.Prefix, occupied []Occupied) error {
	for _, o := range occupied {
		if o.Prefix.IsValid() && o.Prefix.Bits() > 0 && o.Prefix.Overlaps(subnet) {
			return fmt.Errorf("subnet %v: overlaps %s (%v): %w", subnet, o.By, o.Prefix, errdefs.ErrAlreadyExists)
		}
	}
	return nil
}

// special is address space that no subnet may touch.
var special = []Occupied{
	{"the loopback range", netip.MustParsePrefix("127.0.0.0/8")},
	{"the \"this network\" range", netip.MustParsePrefix("0.0.0.0/8")},
	{"the link-local range", netip.MustParsePrefix("169.254.0.0/16")},
	{"the multicast range", netip.MustParsePrefix("224.0.0.0/4")},
	{"the reserved range", netip.MustParsePrefix("240.0.0.0/4")},
	{"the loopback address", netip.MustParsePrefix("::1/128")},
	{"the unspecified address", netip.MustParsePrefix("::/128")},
	{"the IPv4-mapped range", netip.MustParsePrefix("::ffff:0:0/96")},
	{"the link-local range", netip.MustParsePrefix("fe80::/10")},
	{"the multicast range", netip.MustParsePrefix("ff00::/8")},
}

// Prefix lengths that CheckSubnet4 and CheckSubnet6 accept. The longest leave
// room for a gateway and one container (RFC 3021, RFC 6164).
const (
	minBits4, maxBits4 = 8, 31
	minBits6, maxBits6 = 32, 127
)

// CheckSubnet4 tells whether p can be the IPv4 subnet of a network, else all
// that is wrong with it, with errdefs.ErrInvalidArgument.
func CheckSubnet4(p netip.Prefix) error {
	if !p.Addr().Is4() {
		return fmt.Errorf("ipv4 subnet %v: want an IPv4 prefix, like 10.0.0.0/24: %w", p, errdefs.ErrInvalidArgument)
	}
	return checkSubnet("ipv4 subnet", p, minBits4, maxBits4)
}

// CheckSubnet6 tells whether p can be the IPv6 subnet of a network, else all
// that is wrong with it, with errdefs.ErrInvalidArgument.
func CheckSubnet6(p netip.Prefix) error {
	if !p.Addr().Is6() || p.Addr().Is4In6() {
		return fmt.Errorf("ipv6 subnet %v: want an IPv6 prefix, like fd00:1::/64: %w", p, errdefs.ErrInvalidArgument)
	}
	return checkSubnet("ipv6 subnet", p, minBits6, maxBits6)
}

func checkSubnet(what string, p netip.Prefix, minBits, maxBits int) error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s %v: %s: %w", what, p, fmt.Sprintf(format, args...), errdefs.ErrInvalidArgument))
	}
	if p != p.Masked() {
		fault("has host bits, want %v", p.Masked())
	}
	switch {
	case p.Bits() > maxBits:
		fault("too small for a gateway and a container, want /%d to /%d", minBits, maxBits)
	case p.Bits() < minBits:
		fault("too large, want /%d to /%d", minBits, maxBits)
	}
	for _, s := range special {
		if s.Prefix.Overlaps(p) {
			fault("touches %s (%v), want private or public unicast space", s.By, s.Prefix)
			break
		}
	}
	return errors.Join(faults...)
}
