package resource

import (
	"fmt"
	"net/netip"
)

// Validate reports every fault of form at once, as errdefs.ErrInvalidArgument.
// Whether a subnet is large enough, is free and can be served is for the plugin
// to say, as are options.
func (c NetworkConfiguration) Validate() error {
	faults := []error{
		ValidateName("plugin", c.Plugin.Plugin),
		validateVariant(c.Plugin.Variant),
		validateSubnet("ipv4 subnet", c.IPv4Subnet, true),
		validateSubnet("ipv6 subnet", c.IPv6Subnet, false),
	}
	if c.MTU != 0 && (c.MTU < MinMTU || c.MTU > MaxMTU) {
		faults = append(faults, fmt.Errorf("mtu %d: want %d to %d", c.MTU, MinMTU, MaxMTU))
	} else if c.MTU != 0 && c.MTU < MinMTUIPv6 && c.IPv6Subnet.IsValid() {
		faults = append(faults, fmt.Errorf("mtu %d: want at least %d for ipv6", c.MTU, MinMTUIPv6))
	}
	faults = append(faults, c.routeFaults()...)
	for key := range c.Options {
		if key == "" || len(key) > MaxLabelKeyLength || !printable(key) {
			faults = append(faults, fmt.Errorf("option %q: want a key of 1 to %d printable bytes", key, MaxLabelKeyLength))
		}
	}
	return invalid(faults...)
}

func validateVariant(variant string) error {
	if variant == "" {
		return nil
	}
	return ValidateName("plugin variant", variant)
}

// validateSubnet accepts a zero prefix: the plugin chooses then.
func validateSubnet(field string, p netip.Prefix, v4 bool) error {
	a := p.Addr()
	switch {
	case p == netip.Prefix{}:
		return nil
	case !p.IsValid():
		return fmt.Errorf("%s %v: want an address with a prefix length, like 10.0.0.0/24", field, p)
	case a.Is4In6():
		return fmt.Errorf("%s %v: is an ipv4 address in ipv6 form, want %v", field, p, a.Unmap())
	case v4 && !a.Is4():
		return fmt.Errorf("%s %v: is ipv6, want ipv4, like 10.0.0.0/24", field, p)
	case !v4 && !a.Is6():
		return fmt.Errorf("%s %v: is ipv4, want ipv6, like fd00:1::/64", field, p)
	case p != p.Masked():
		return fmt.Errorf("%s %v: has host bits set, want %v", field, p, p.Masked())
	case p.Bits() == 0:
		return fmt.Errorf("%s %v: is all addresses, want a part of them", field, p)
	}
	return nil
}
