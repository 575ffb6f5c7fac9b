package wire

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.dev/patchbay/resource"
)

// faults collects what is wrong with a message, so that all of it is reported
// at once.
type faults []error

func (f *faults) add(err error) {
	if err != nil {
		*f = append(*f, err)
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, errors.Join(f...))
}

func (f *faults) addr(field, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		f.add(fmt.Errorf("%s %q: want an ip address", field, s))
	}
	return a
}

// required is addr for what may not be left out.
func (f *faults) required(field, s string) netip.Addr {
	if s == "" {
		f.add(fmt.Errorf("%s: is empty, want an ip address", field))
	}
	return f.addr(field, s)
}

func (f *faults) prefix(field, s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		f.add(fmt.Errorf("%s %q: want an address with a prefix length, like 10.0.0.0/24", field, s))
	}
	return p
}

// addrOf is addr for one family: 4 or 6.
func (f *faults) addrOf(family int, field, s string) netip.Addr {
	a := f.addr(field, s)
	if a.IsValid() && familyOf(a) != family {
		f.add(fmt.Errorf("%s %q: want one of IPv%d", field, s, family))
	}
	return a
}

// prefixOf is prefix for one family: 4 or 6.
func (f *faults) prefixOf(family int, field, s string) netip.Prefix {
	p := f.prefix(field, s)
	if p.IsValid() && familyOf(p.Addr()) != family {
		f.add(fmt.Errorf("%s %q: want one of IPv%d", field, s, family))
	}
	return p
}

// familyOf is 4, 6, or 0 for an IPv4 address in the form of IPv6.
func familyOf(a netip.Addr) int {
	switch {
	case a.Is4():
		return 4
	case a.Is4In6():
		return 0
	}
	return 6
}

func (f *faults) port(field string, n uint32) uint16 {
	if n > math.MaxUint16 {
		f.add(fmt.Errorf("%s %d: want 0 to %d", field, n, math.MaxUint16))
	}
	return uint16(n)
}

func (f *faults) mac(s string) resource.MACAddress {
	if s == "" {
		return ""
	}
	m, err := resource.ParseMACAddress(s)
	f.add(err)
	return m
}

func addrString(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func prefixString(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// each converts a slice element by element; nil stays nil.
func each[A, B any](in []A, convert func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = convert(v)
	}
	return out
}
