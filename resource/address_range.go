package resource

import (
	"fmt"
	"net/netip"
	"strings"
)

// AddressRange is all addresses from First to Last, both of them included and
// of one family.
type AddressRange struct {
	First, Last netip.Addr
}

// ParseAddressRange parses an address, a prefix without host bits, or two
// addresses with a "-" between them.
func ParseAddressRange(s string) (AddressRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	if isRange {
		first, err1 := netip.ParseAddr(from)
		last, err2 := netip.ParseAddr(to)
		r := AddressRange{first, last}
		if err1 != nil || err2 != nil {
			return AddressRange{}, rangeForm(s)
		}
		return r, r.validate()
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return AddressRange{}, rangeForm(s)
		}
		if p != p.Masked() {
			return AddressRange{}, fmt.Errorf("reserved range %q: has host bits set, want %v", s, p.Masked())
		}
		r := AddressRange{p.Addr(), lastOf(p)}
		return r, r.validate()
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return AddressRange{}, rangeForm(s)
	}
	r := AddressRange{a, a}
	return r, r.validate()
}

func rangeForm(s string) error {
	return fmt.Errorf("reserved range %q: want an address, a prefix or FIRST-LAST, like 10.0.0.9, 10.0.0.0/28 or 10.0.0.9-10.0.0.20", s)
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

func (r AddressRange) validate() error {
	switch {
	case !r.First.IsValid() || !r.Last.IsValid():
		return fmt.Errorf("reserved range %v: want two addresses", r)
	case r.First.Zone() != "" || r.Last.Zone() != "" || r.First.Is4In6() || r.Last.Is4In6():
		return fmt.Errorf("reserved range %v: want addresses without a zone, ipv4 ones as such", r)
	case r.First.Is4() != r.Last.Is4():
		return fmt.Errorf("reserved range %v: is of two address families", r)
	case r.Last.Less(r.First):
		return fmt.Errorf("reserved range %v: ends before it begins, want %v-%v", r, r.Last, r.First)
	}
	return nil
}

// within reports whether a range is in the subnet of its family; a zero subnet
// is chosen later.
func (r AddressRange) within(v4, v6 netip.Prefix) error {
	subnet := v6
	if r.First.Is4() {
		subnet = v4
	}
	if subnet.IsValid() && (!subnet.Contains(r.First) || !subnet.Contains(r.Last)) {
		return fmt.Errorf("reserved range %v: is not in the network's subnet %v", r, subnet)
	}
	return nil
}

// Within reports all ranges that are not in the subnets of a network; a family
// without a subnet has no addresses to reserve.
func Within(ranges []AddressRange, v4, v6 netip.Prefix) error {
	var faults []error
	for _, r := range ranges {
		if r.First.Is4() && !v4.IsValid() || r.First.Is6() && !v6.IsValid() {
			faults = append(faults, fmt.Errorf("reserved range %v: the network has no subnet of that address family", r))
			continue
		}
		faults = append(faults, r.within(v4, v6))
	}
	return invalid(faults...)
}

// String returns the shortest form that ParseAddressRange takes.
func (r AddressRange) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	if r.First.IsValid() {
		for bits := range r.First.BitLen() {
			p := netip.PrefixFrom(r.First, bits)
			if p == p.Masked() && lastOf(p) == r.Last {
				return p.String()
			}
		}
	}
	return r.First.String() + "-" + r.Last.String()
}

// MarshalText implements encoding.TextMarshaler.
func (r AddressRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *AddressRange) UnmarshalText(text []byte) error {
	parsed, err := ParseAddressRange(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}
