// Package pool holds the addresses of one network, those of both families and MAC
// addresses: who has which, what is set aside for whom, and what a key gets back that it had
// before. It knows keys alone; why they have addresses is its caller's.
package pool

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/ipam"
	"patchbay.dev/patchbay/resource"
)

// Addresses are those of one attachment; each is optional.
type Addresses struct {
	IPv4 netip.Addr          `json:"ipv4,omitzero"`
	IPv6 netip.Addr          `json:"ipv6,omitzero"`
	MAC  resource.MACAddress `json:"mac,omitempty"`
}

// Config is of what a Pool is made.
type Config struct {
	ID, Name string // of the network
	// A family without a subnet has no addresses.
	IPv4Subnet, IPv6Subnet netip.Prefix
	Excluded               []netip.Addr // never given out; one that is zero counts for nothing
	// Owner names the container of a key for people.
	Owner func(key string) string
}

// Pool is the addresses of one network. It is not safe for concurrent use.
type Pool struct {
	config Config
	v4, v6 *ipam.Allocator                // nil: no such family
	macs   map[resource.MACAddress]string // key of each that it has or that is set aside for it
}

// New returns a pool of which nothing is given out.
func New(c Config) *Pool {
	p := &Pool{config: c, macs: map[resource.MACAddress]string{}}
	if c.IPv4Subnet.IsValid() {
		p.v4 = ipam.NewAllocator(c.IPv4Subnet, c.Excluded...)
	}
	if c.IPv6Subnet.IsValid() {
		p.v6 = ipam.NewAllocator(c.IPv6Subnet, c.Excluded...)
	}
	return p
}

// Has reports whether these, and no others, are the families that the pool has.
func (p *Pool) Has(v4, v6 bool) bool { return (p.v4 != nil) == v4 && (p.v6 != nil) == v6 }

// SetRanges tells what is given on request only, in place of what was told before.
func (p *Pool) SetRanges(ranges []resource.AddressRange) {
	for _, a := range p.families() {
		a.SetRanges(ranges)
	}
}

func (p *Pool) families() []*ipam.Allocator {
	var all []*ipam.Allocator
	for _, a := range []*ipam.Allocator{p.v4, p.v6} {
		if a != nil {
			all = append(all, a)
		}
	}
	return all
}

// Check reports all that is wrong with addresses that are asked for by a key:
// errdefs.ErrInvalidArgument for those that the network does not have,
// errdefs.ErrAlreadyExists, with the name of their owner, for those of another key.
func (p *Pool) Check(key string, want Addresses) error {
	faults := []error{
		p.checkAddress(p.v4, "ipv4", key, want.IPv4),
		p.checkAddress(p.v6, "ipv6", key, want.IPv6),
	}
	if want.MAC != "" {
		if _, err := resource.ParseMACAddress(string(want.MAC)); err != nil {
			faults = append(faults, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument))
		}
		if other, ok := p.macs[want.MAC]; ok && other != key {
			faults = append(faults, fmt.Errorf("mac address %s: is that of container %s on network %s: %w",
				want.MAC, p.config.Owner(other), p.config.Name, errdefs.ErrAlreadyExists))
		}
	}
	return errors.Join(faults...)
}

func (p *Pool) checkAddress(a *ipam.Allocator, family, key string, want netip.Addr) error {
	if !want.IsValid() {
		return nil
	}
	if a == nil {
		return fmt.Errorf("address %v: network %s has no %s subnet: %w", want, p.config.Name, family, errdefs.ErrInvalidArgument)
	}
	if other, ok := a.Owner(want); ok && other != key {
		return fmt.Errorf("address %v: is that of container %s on network %s: %w",
			want, p.config.Owner(other), p.config.Name, errdefs.ErrAlreadyExists)
	}
	if err := a.Check(key, want); err != nil {
		return fmt.Errorf("network %s: %w", p.config.Name, err)
	}
	return nil
}

// Take gives a key what it wants, which Check has found good, and chooses the rest. had is
// what the key had before; after an error it is as if it had not asked.
func (p *Pool) Take(key string, want, had Addresses) (Addresses, error) {
	var got Addresses
	var err error
	if got.IPv4, err = pick(p.v4, key, want.IPv4, netip.Addr{}); err != nil {
		return Addresses{}, fmt.Errorf("network %s: %w", p.config.Name, err)
	}
	if got.IPv6, err = pick(p.v6, key, want.IPv6, twin(p.v6, p.v4, got.IPv4)); err != nil {
		putBack(p.v4, key, had.IPv4)
		return Addresses{}, fmt.Errorf("network %s: %w", p.config.Name, err)
	}
	got.MAC = p.pickMAC(key, got, want.MAC)
	p.macs[got.MAC] = key
	return got, nil
}

func pick(a *ipam.Allocator, key string, want, preferred netip.Addr) (netip.Addr, error) {
	if a == nil {
		return netip.Addr{}, nil
	}
	if want.IsValid() {
		return want, a.AllocateAddress(key, want)
	}
	return a.AllocatePreferring(key, preferred)
}

// PutBack undoes Take: had is what the key had before it.
func (p *Pool) PutBack(key string, had Addresses) {
	putBack(p.v4, key, had.IPv4)
	putBack(p.v6, key, had.IPv6)
}

func putBack(a *ipam.Allocator, key string, had netip.Addr) {
	if a == nil {
		return
	}
	a.Free(key)
	a.Forget(key)
	if had.IsValid() {
		a.Restore(key, had)
	}
}

// Free takes the IP addresses of a key back and remembers them for it.
func (p *Pool) Free(key string) {
	for _, a := range p.families() {
		a.Free(key)
	}
}

// FreeMAC takes a MAC address back, if it is the key's.
func (p *Pool) FreeMAC(key string, mac resource.MACAddress) {
	if p.macs[mac] == key {
		delete(p.macs, mac)
	}
}

// Forget drops what is remembered for a key.
func (p *Pool) Forget(key string) {
	for _, a := range p.families() {
		a.Forget(key)
	}
}

// Remember makes a pool that knows nothing of a key give it the IP addresses back that it had,
// when it asks next; others get them last. Those that do not fit are left out.
func (p *Pool) Remember(key string, had Addresses) {
	if p.v4 != nil && had.IPv4.IsValid() {
		p.v4.Restore(key, had.IPv4)
	}
	if p.v6 != nil && had.IPv6.IsValid() {
		p.v6.Restore(key, had.IPv6)
	}
}

// Give makes a pool know that a key has addresses. A MAC address counts also when an IP
// address does not fit, which is the error.
func (p *Pool) Give(key string, has Addresses) error {
	if has.MAC != "" {
		p.macs[has.MAC] = key
	}
	return errors.Join(give(p.v4, key, has.IPv4), give(p.v6, key, has.IPv6))
}

func give(a *ipam.Allocator, key string, address netip.Addr) error {
	if a == nil || !address.IsValid() {
		return nil
	}
	return a.AllocateAddress(key, address)
}

// Reserve sets addresses aside for a key that has none set aside.
func (p *Pool) Reserve(key string, want Addresses) error {
	if err := errors.Join(reserve(p.v4, key, want.IPv4), reserve(p.v6, key, want.IPv6)); err != nil {
		return err
	}
	if want.MAC != "" {
		p.macs[want.MAC] = key
	}
	return nil
}

func reserve(a *ipam.Allocator, key string, want netip.Addr) error {
	if a == nil || !want.IsValid() {
		return nil
	}
	return a.Reserve(key, want)
}

// Unreserve ends that IP addresses are set aside for a key.
func (p *Pool) Unreserve(key string) {
	for _, a := range p.families() {
		a.Unreserve(key)
	}
}

// Usage returns how many addresses of each family are in use; zero: there is no such family.
func (p *Pool) Usage() (v4, v6 resource.AddressUsage) { return usage(p.v4), usage(p.v6) }

func usage(a *ipam.Allocator) resource.AddressUsage {
	if a == nil {
		return resource.AddressUsage{}
	}
	return resource.AddressUsage{InUse: a.InUse(), Total: a.Total(), Reserved: a.Reserved()}
}
