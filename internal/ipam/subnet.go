// Package ipam chooses subnets and hands out the addresses of one. It touches
// nothing: what is in use on the host is for the caller to say.
package ipam

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/gaissmai/bart"
)

// pool4 is what ChooseSubnet4 takes its /24s from: the second quarter of
// 10.0.0.0/8 without what engines use by default. Left out of private space
// (RFC 1918) as likely to be met somewhere: 10.0.0.0/10 (numbered by hand),
// 10.88.0.0/16 (podman), 10.96.0.0/12 (Kubernetes services), 10.128.0.0/9
// (clouds, flannel), 172.16.0.0/12 (docker, AWS), 192.168.0.0/16 (homes).
var (
	pool4     = netip.MustParsePrefix("10.64.0.0/10")
	poolHoles = []netip.Prefix{netip.MustParsePrefix("10.88.0.0/16"), netip.MustParsePrefix("10.96.0.0/12")}
)

const poolSize = 1 << 14 // /24s in a /10

// ChooseSubnet4 returns a /24 of private space that overlaps nothing in used.
// The order of trial comes from the seed, so that networks made at the same
// time, by one instance or several, rarely choose the same. When all of more
// than ten thousand overlap the error is errdefs.ErrResourceExhausted.
func ChooseSubnet4(seed string, used []netip.Prefix) (netip.Prefix, error) {
	taken := tableOf(used)
	for _, hole := range poolHoles {
		taken.Insert(hole)
	}
	sum := sha256.Sum256([]byte("ipv4 subnet\x00" + seed))
	start, step := binary.BigEndian.Uint32(sum[:]), binary.BigEndian.Uint32(sum[4:])|1 // odd: meets each once
	base := binary.BigEndian.Uint32(pool4.Addr().AsSlice())
	for i := range uint32(poolSize) {
		place := (start + i*step) % poolSize
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], base|place<<8)
		candidate := netip.PrefixFrom(netip.AddrFrom4(b), 24)
		if !taken.OverlapsPrefix(candidate) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("ipv4 subnet: every /24 of %v overlaps one in use, give a subnet: %w", pool4, errdefs.ErrResourceExhausted)
}

// ChooseSubnet6 returns a unique-local /64 (RFC 4193) that overlaps nothing in
// used: the same for the same seed, unless that one overlaps.
func ChooseSubnet6(seed string, used []netip.Prefix) (netip.Prefix, error) {
	taken := tableOf(used)
	for i := range 1000 {
		sum := sha256.Sum256(fmt.Appendf(nil, "ipv6 subnet\x00%s\x00%d", seed, i))
		b := [16]byte{0: 0xfd}
		copy(b[1:8], sum[:])
		candidate := netip.PrefixFrom(netip.AddrFrom16(b), 64)
		if !taken.OverlapsPrefix(candidate) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("ipv6 subnet: all of fd00::/8 tried overlap one in use, give a subnet: %w", errdefs.ErrResourceExhausted)
}

func tableOf(prefixes []netip.Prefix) *bart.Lite {
	table := new(bart.Lite)
	for _, p := range prefixes {
		if p.IsValid() && p.Bits() > 0 { // a default route is in nobody's way
			table.Insert(p.Masked())
		}
	}
	return table
}

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
