// Package field converts single fields of the messages of api. It is for the
// packages of wire, and for who makes a message of a few fields itself.
package field

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"
	"patchbay.dev/patchbay/api/message"
	"patchbay.dev/patchbay/resource"
)

// Faults collects what is wrong with a message, so that all of it is reported
// at once. The zero value has none.
type Faults []error

// Add appends a fault. Nil adds nothing; what Err returned is added fault by fault.
func (f *Faults) Add(err error) {
	switch e := err.(type) { //nolint:errorlint // around another one are words of ours
	case nil:
	case *faultsError:
		*f = append(*f, e.faults...)
	default:
		*f = append(*f, err)
	}
}

// Err returns all faults as one errdefs.ErrInvalidArgument, nil for none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &faultsError{f}
}

type faultsError struct{ faults Faults }

func (e *faultsError) Error() string {
	return errdefs.ErrInvalidArgument.Error() + ": " + errors.Join(e.faults...).Error()
}

func (e *faultsError) Unwrap() []error {
	return []error{errdefs.ErrInvalidArgument, errors.Join(e.faults...)}
}

// From converts a part of a message by a function that reports its faults itself.
func From[A, B any](f *Faults, in A, convert func(A) (B, error)) B {
	out, err := convert(in)
	f.Add(err)
	return out
}

// Addr parses an address; the empty string is the zero value.
func (f *Faults) Addr(field, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		f.Add(fmt.Errorf("%s %q: want an ip address", field, s))
	}
	return a
}

// Required is Addr for what may not be left out.
func (f *Faults) Required(field, s string) netip.Addr {
	if s == "" {
		f.Add(fmt.Errorf("%s: is empty, want an ip address", field))
	}
	return f.Addr(field, s)
}

// Prefix parses a prefix, host bits included; the empty string is the zero value.
func (f *Faults) Prefix(field, s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		f.Add(fmt.Errorf("%s %q: want an address with a prefix length, like 10.0.0.0/24", field, s))
	}
	return p
}

// AddrOf is Addr for one family: 4 or 6.
func (f *Faults) AddrOf(family int, field, s string) netip.Addr {
	a := f.Addr(field, s)
	if a.IsValid() && familyOf(a) != family {
		f.Add(fmt.Errorf("%s %q: want one of IPv%d", field, s, family))
	}
	return a
}

// PrefixOf is Prefix for one family: 4 or 6.
func (f *Faults) PrefixOf(family int, field, s string) netip.Prefix {
	p := f.Prefix(field, s)
	if p.IsValid() && familyOf(p.Addr()) != family {
		f.Add(fmt.Errorf("%s %q: want one of IPv%d", field, s, family))
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

// Port checks the number of a port; 0 is one.
func (f *Faults) Port(field string, n uint32) uint16 {
	if n > math.MaxUint16 {
		f.Add(fmt.Errorf("%s %d: want 0 to %d", field, n, math.MaxUint16))
	}
	return uint16(n)
}

// MAC parses a MAC address; the empty string is the zero value.
func (f *Faults) MAC(s string) resource.MACAddress {
	if s == "" {
		return ""
	}
	m, err := resource.ParseMACAddress(s)
	f.Add(err)
	return m
}

// AddrString returns an address as text; the zero value is the empty string.
func AddrString(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// PrefixString returns a prefix as text; the zero value is the empty string.
func PrefixString(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// Timestamp converts an instant; the zero value is nil.
func Timestamp(t time.Time) *message.Timestamp {
	if t.IsZero() {
		return nil
	}
	return message.NewTimestamp(t)
}

// Instant converts an instant; nil is the zero value.
func Instant(t *message.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// Each converts a slice element by element; nil stays nil.
func Each[A, B any](in []A, convert func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = convert(v)
	}
	return out
}

// Present converts a value that there may be; nil stays nil.
func Present[A, B any](in *A, convert func(A) *B) *B {
	if in == nil {
		return nil
	}
	return convert(*in)
}

// Told converts a message that there may be; nil stays nil.
func Told[A, B any](in *A, convert func(*A) B) *B {
	if in == nil {
		return nil
	}
	out := convert(in)
	return &out
}
