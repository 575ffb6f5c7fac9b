package resource

import (
	"fmt"
	"net/netip"
)

// SubnetPool is the subnets of one size in a prefix, for networks that ask for
// none in particular.
type SubnetPool struct {
	Base netip.Prefix
	Size int // prefix length of each subnet
}

// Bounds of pools; the longest subnets leave room for a gateway and one
// container (RFC 3021, RFC 6164).
const (
	minPoolBase  = 8
	maxPoolSize4 = 31
	minPoolSize6 = 32
	maxPoolSize6 = 127
)

// unfitForPools has no addresses that containers could use.
var unfitForPools = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

// fitForPools6 is global unicast (RFC 4291 section 2.5.4) and unique local
// addresses (RFC 4193).
var fitForPools6 = []netip.Prefix{netip.MustParsePrefix("2000::/3"), netip.MustParsePrefix("fc00::/7")}

// String returns the base and the size, like "10.0.0.0/8 in /24s".
func (p SubnetPool) String() string { return fmt.Sprintf("%v in /%ds", p.Base, p.Size) }

// Validate reports all that is wrong with a pool, as errdefs.ErrInvalidArgument.
func (p SubnetPool) Validate() error {
	a := p.Base.Addr()
	if !p.Base.IsValid() || a.Zone() != "" || a.Is4In6() {
		return invalid(fmt.Errorf("pool %v: want a base like 10.0.0.0/8 or fd12:3456:789a::/48", p.Base))
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("pool %v: "+format, append([]any{p.Base}, args...)...))
	}
	if p.Base != p.Base.Masked() {
		fault("has host bits set, want %v", p.Base.Masked())
	}
	if p.Base.Bits() < minPoolBase {
		fault("is too large, want /%d or longer", minPoolBase)
	}
	least, most := p.Base.Bits(), maxPoolSize4
	if a.Is6() {
		least, most = max(least, minPoolSize6), maxPoolSize6
	}
	if p.Size < least || p.Size > most {
		fault("has subnets of size %d, want %d to %d", p.Size, least, most)
	}
	if !p.usable() {
		fault("touches loopback, link-local, multicast or reserved addresses, want private or public unicast ones")
	}
	return invalid(faults...)
}

func (p SubnetPool) usable() bool {
	if p.Base.Addr().Is4() {
		for _, unfit := range unfitForPools {
			if unfit.Overlaps(p.Base) {
				return false
			}
		}
		return true
	}
	for _, fit := range fitForPools6 {
		if fit.Bits() <= p.Base.Bits() && fit.Contains(p.Base.Addr()) {
			return true
		}
	}
	return false
}
