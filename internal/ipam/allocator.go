package ipam

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"github.com/containerd/errdefs"
)

// maxFreed bounds what an allocator remembers of addresses that no key wants
// back, so that a vast IPv6 subnet costs no memory as keys come and go.
const maxFreed = 1 << 16

// Allocator hands out the addresses of one subnet by key. An address is given
// to one key at a time; a key has at most one. It is not safe for concurrent
// use.
//
// Which address a key gets: the one reserved for it, else the one it had last,
// else the one that is preferred, else one that nobody ever had, else the one that is
// free for the longest.
// Never the network's own and broadcast addresses, and none that is set aside; of
// the ranges of SetRanges none but on request.
type Allocator struct {
	subnet   netip.Prefix
	size     uint64                  // of the host part, saturated
	excluded map[netip.Addr]struct{} // set aside, inside the usable range

	byKey    map[string]netip.Addr // in use
	owner    map[netip.Addr]string // in use
	reserved map[string]netip.Addr
	reserver map[netip.Addr]string

	// freed are the addresses that were in use once, longest free first.
	freed     *list.List // of *freedAddress
	freedAddr map[netip.Addr]*list.Element
	freedKey  map[string]*list.Element

	ranges []hostRange // given on request only; in order, apart

	cursor uint64 // host part of the next address to try that nobody ever had
}

type freedAddress struct {
	addr netip.Addr
	key  string // that gets it back while nobody else has it; empty: forgotten
}

// NewAllocator returns an allocator of a subnet that CheckSubnet4 or
// CheckSubnet6 accepts. Addresses set aside, such as gateways, are never given
// out; those outside the subnet are ignored.
func NewAllocator(subnet netip.Prefix, setAside ...netip.Addr) *Allocator {
	a := &Allocator{
		subnet:    subnet,
		size:      sizeOf(subnet),
		excluded:  map[netip.Addr]struct{}{},
		byKey:     map[string]netip.Addr{},
		owner:     map[netip.Addr]string{},
		reserved:  map[string]netip.Addr{},
		reserver:  map[netip.Addr]string{},
		freed:     list.New(),
		freedAddr: map[netip.Addr]*list.Element{},
		freedKey:  map[string]*list.Element{},
	}
	first, last := a.bounds()
	a.cursor = first
	for _, addr := range setAside {
		if host, ok := a.host(addr); ok && host >= first && host <= last {
			a.excluded[addr] = struct{}{}
		}
	}
	return a
}

// sizeOf returns how many addresses a prefix has; math.MaxUint64 for that
// many or more.
func sizeOf(p netip.Prefix) uint64 {
	bits := p.Addr().BitLen() - p.Bits()
	if bits >= 64 {
		return math.MaxUint64
	}
	return 1 << bits
}

// bounds returns the host parts of the first and last address that a
// container may have: not the network address, which is the routers' anycast
// address in IPv6 (RFC 4291 section 2.6.1), nor the IPv4 broadcast address. Two
// addresses are both usable (RFC 3021, RFC 6164).
func (a *Allocator) bounds() (first, last uint64) {
	switch {
	case a.size <= 2:
		return 0, a.size - 1
	case a.subnet.Addr().Is4():
		return 1, a.size - 2
	case a.size == math.MaxUint64:
		return 1, a.size
	}
	return 1, a.size - 1
}

func (a *Allocator) addr(host uint64) netip.Addr {
	if a.subnet.Addr().Is4() {
		b := a.subnet.Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|uint32(host))
		return netip.AddrFrom4(b)
	}
	b := a.subnet.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])|host)
	return netip.AddrFrom16(b)
}

// host returns the host part of an address inside the subnet; of a very large
// subnet the lower 64 bits.
func (a *Allocator) host(addr netip.Addr) (uint64, bool) {
	if !a.subnet.Contains(addr) {
		return 0, false
	}
	b := addr.As16()
	return binary.BigEndian.Uint64(b[8:]) & (a.size - 1 | (a.size-1)>>1), true
}

// Twin returns the address that has the same place in the subnet as another one in its own;
// the zero value when there is none.
func (a *Allocator) Twin(of *Allocator, addr netip.Addr) netip.Addr {
	host, ok := of.host(addr)
	if first, last := a.bounds(); !ok || host < first || host > last {
		return netip.Addr{}
	}
	return a.addr(host)
}

// Subnet returns the subnet.
func (a *Allocator) Subnet() netip.Prefix { return a.subnet }

// InUse returns how many addresses have a key now.
func (a *Allocator) InUse() uint64 { return uint64(len(a.byKey)) }

// Total returns how many addresses there are for keys; it saturates.
func (a *Allocator) Total() uint64 {
	if a.size == math.MaxUint64 {
		return math.MaxUint64
	}
	first, last := a.bounds()
	return last - first + 1 - uint64(len(a.excluded))
}

// Get returns the address that a key has now.
func (a *Allocator) Get(key string) (netip.Addr, bool) {
	addr, ok := a.byKey[key]
	return addr, ok
}

// Owner returns the key that has an address now, or that it is reserved for.
func (a *Allocator) Owner(addr netip.Addr) (key string, ok bool) {
	if key, ok := a.owner[addr]; ok {
		return key, true
	}
	key, ok = a.reserver[addr]
	return key, ok
}

// Remembered returns the address that a key without one would get back.
func (a *Allocator) Remembered(key string) (netip.Addr, bool) {
	if e, ok := a.freedKey[key]; ok {
		return e.Value.(*freedAddress).addr, true
	}
	return netip.Addr{}, false
}

// Check tells whether an address may be given to a key on request:
// errdefs.ErrInvalidArgument when it can never be, errdefs.ErrAlreadyExists
// when another key has it; Owner says which.
func (a *Allocator) Check(key string, addr netip.Addr) error {
	host, ok := a.host(addr)
	if !ok {
		return fmt.Errorf("address %v: not in the subnet %v: %w", addr, a.subnet, errdefs.ErrInvalidArgument)
	}
	first, last := a.bounds()
	if host < first || host > last {
		return fmt.Errorf("address %v: is the network or broadcast address of %v, want %v to %v: %w",
			addr, a.subnet, a.addr(first), a.addr(last), errdefs.ErrInvalidArgument)
	}
	if _, ok := a.excluded[addr]; ok {
		return fmt.Errorf("address %v: is the gateway or set aside in %v, want another of %v to %v: %w",
			addr, a.subnet, a.addr(first), a.addr(last), errdefs.ErrInvalidArgument)
	}
	if owner, ok := a.Owner(addr); ok && owner != key {
		return fmt.Errorf("address %v: is in use by %s: %w", addr, owner, errdefs.ErrAlreadyExists)
	}
	return nil
}

// Allocate gives a key an address; a key that has one keeps it. When none is
// left the error is errdefs.ErrResourceExhausted.
func (a *Allocator) Allocate(key string) (netip.Addr, error) {
	return a.AllocatePreferring(key, netip.Addr{})
}

// AllocatePreferring is Allocate, with an address for a key that would get one that it never
// had; the zero value prefers none.
func (a *Allocator) AllocatePreferring(key string, preferred netip.Addr) (netip.Addr, error) {
	if addr, ok := a.byKey[key]; ok {
		return addr, nil
	}
	if addr, ok := a.reserved[key]; ok {
		if _, taken := a.owner[addr]; !taken {
			return a.give(key, addr), nil
		}
	}
	if addr, ok := a.Remembered(key); ok && a.unreserved(key, addr) {
		return a.give(key, addr), nil
	}
	if preferred.IsValid() && a.unreserved(key, preferred) && a.Check(key, preferred) == nil {
		return a.give(key, preferred), nil
	}
	if addr, ok := a.unused(); ok {
		return a.give(key, addr), nil
	}
	for e := a.freed.Front(); e != nil; e = e.Next() {
		if addr := e.Value.(*freedAddress).addr; a.unreserved(key, addr) {
			return a.give(key, addr), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("subnet %v: no address left, %d of %d in use, %d given on request only: %w",
		a.subnet, len(a.byKey), a.Total(), a.Reserved(), errdefs.ErrResourceExhausted)
}

// AllocateAddress gives a key the address that it asks for, or the error of
// Check. A key that has another one is refused with
// errdefs.ErrFailedPrecondition.
func (a *Allocator) AllocateAddress(key string, addr netip.Addr) error {
	if err := a.Check(key, addr); err != nil {
		return err
	}
	if has, ok := a.byKey[key]; ok && has != addr {
		return fmt.Errorf("address %v: %s has %v already: %w", addr, key, has, errdefs.ErrFailedPrecondition)
	}
	a.give(key, addr)
	return nil
}

func (a *Allocator) unreserved(key string, addr netip.Addr) bool {
	by, ok := a.reserver[addr]
	return ok && by == key || !ok && !a.onRequestOnly(addr)
}

// unused finds an address that nobody ever had, going round from the cursor.
// Among one more addresses than are known there is an unknown one, so the
// search is bounded by what is known, not by the subnet.
func (a *Allocator) unused() (netip.Addr, bool) {
	first, last := a.bounds()
	known := uint64(len(a.owner) + len(a.reserver) + len(a.freedAddr) + len(a.excluded) + len(a.ranges))
	for range min(known, last-first) + 1 {
		addr, end := a.addr(a.cursor), a.cursor
		skipped, skip := a.rangeOf(a.cursor)
		if skip {
			end = skipped.last
		}
		if end == last {
			a.cursor = first
		} else {
			a.cursor = end + 1
		}
		if !skip && !a.known(addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func (a *Allocator) known(addr netip.Addr) bool {
	_, excluded := a.excluded[addr]
	_, used := a.owner[addr]
	_, reserved := a.reserver[addr]
	_, freed := a.freedAddr[addr]
	return excluded || used || reserved || freed
}

func (a *Allocator) give(key string, addr netip.Addr) netip.Addr {
	if e, ok := a.freedAddr[addr]; ok {
		a.dropFreed(e)
	}
	a.Forget(key) // what it had before is nobody's now
	a.byKey[key], a.owner[addr] = addr, key
	return addr
}

// Free takes a key's address back and remembers it for the key.
func (a *Allocator) Free(key string) {
	addr, ok := a.byKey[key]
	if !ok {
		return
	}
	delete(a.byKey, key)
	delete(a.owner, addr)
	a.remember(key, addr)
}

// Restore makes an allocator that knows nothing of a key remember that it had
// an address, as if it had been freed now. An address that cannot be the key's
// any more is ignored.
func (a *Allocator) Restore(key string, addr netip.Addr) {
	if _, used := a.byKey[key]; used || a.Check(key, addr) != nil {
		return
	}
	if e, ok := a.freedAddr[addr]; ok {
		a.dropFreed(e)
	}
	a.Forget(key)
	a.remember(key, addr)
}

func (a *Allocator) remember(key string, addr netip.Addr) {
	e := a.freed.PushBack(&freedAddress{addr, key})
	a.freedAddr[addr], a.freedKey[key] = e, e
	if a.freed.Len() <= maxFreed {
		return
	}
	for e := a.freed.Front(); e != nil; e = e.Next() {
		if e.Value.(*freedAddress).key == "" {
			a.dropFreed(e)
			return
		}
	}
}

func (a *Allocator) dropFreed(e *list.Element) {
	f := e.Value.(*freedAddress)
	a.freed.Remove(e)
	delete(a.freedAddr, f.addr)
	if f.key != "" {
		delete(a.freedKey, f.key)
	}
}

func (a *Allocator) anonymise(e *list.Element) {
	f := e.Value.(*freedAddress)
	delete(a.freedKey, f.key)
	f.key = ""
}

// Forget drops the memory of what a key had before.
func (a *Allocator) Forget(key string) {
	if e, ok := a.freedKey[key]; ok {
		a.anonymise(e)
	}
}

// Reserve sets an address aside for a key whether it has one or not, in place
// of the one reserved before, or returns the error of Check.
func (a *Allocator) Reserve(key string, addr netip.Addr) error {
	if err := a.Check(key, addr); err != nil {
		return err
	}
	a.Unreserve(key)
	a.reserved[key], a.reserver[addr] = addr, key
	return nil
}

// Unreserve drops the reservation of a key; an address in use stays so.
func (a *Allocator) Unreserve(key string) {
	if addr, ok := a.reserved[key]; ok {
		delete(a.reserved, key)
		delete(a.reserver, addr)
	}
}
