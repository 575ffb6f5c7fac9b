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
	faults = append(faults, c.familyFaults()...)
	for _, r := range c.ReservedRanges {
		err := r.validate()
		if err == nil {
			err = r.within(c.IPv4Subnet, c.IPv6Subnet)
		}
		faults = append(faults, err)
	}
	faults = append(faults, c.DNS.faults()...)
	for key := range c.Options {
		if key == "" || len(key) > MaxLabelKeyLength || !printable(key) {
			faults = append(faults, fmt.Errorf("option %q: want a key of 1 to %d printable bytes", key, MaxLabelKeyLength))
		}
	}
	return invalid(faults...)
}

// familyFaults reports what is asked of an address family that is turned off.
func (c NetworkConfiguration) familyFaults() []error {
	var faults []error
	if c.IPv4Disabled && c.IPv6Disabled {
		faults = append(faults, fmt.Errorf("ipv4 and ipv6: both are off, want at least one on"))
	}
	for _, f := range []struct {
		name   string
		off    bool
		subnet netip.Prefix
	}{{"ipv4", c.IPv4Disabled, c.IPv4Subnet}, {"ipv6", c.IPv6Disabled, c.IPv6Subnet}} {
		if !f.off {
			continue
		}
		if f.subnet.IsValid() {
			faults = append(faults, fmt.Errorf("%s subnet %v: %s is off", f.name, f.subnet, f.name))
		}
		for _, r := range c.ReservedRanges {
			if r.First.IsValid() && r.First.Is4() == (f.name == "ipv4") {
				faults = append(faults, fmt.Errorf("reserved range %v: %s is off", r, f.name))
			}
		}
	}
	return faults
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
