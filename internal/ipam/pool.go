package ipam

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/gaissmai/bart"

	"patchbay.dev/patchbay/resource"
)

// DefaultPools4 is what IPv4 subnets are chosen from where nobody says
// otherwise: twelve thousand of the second quarter of 10.0.0.0/8, without what
// engines use by default. Left out of private space (RFC 1918) as likely to be
// met somewhere: 10.0.0.0/10 (numbered by hand), 10.88.0.0/16 (podman),
// 10.96.0.0/12 (Kubernetes services), 10.128.0.0/9 (clouds, flannel),
// 172.16.0.0/12 (docker, AWS), 192.168.0.0/16 (homes).
func DefaultPools4() []resource.SubnetPool {
	var pools []resource.SubnetPool
	for _, base := range []string{"10.64.0.0/12", "10.112.0.0/12", "10.80.0.0/13", "10.92.0.0/14", "10.90.0.0/15", "10.89.0.0/16"} {
		pools = append(pools, resource.SubnetPool{Base: netip.MustParsePrefix(base), Size: 24})
	}
	return pools
}

// DefaultPools6 is the same for IPv6: any unique local /64 (RFC 4193).
func DefaultPools6() []resource.SubnetPool {
	return []resource.SubnetPool{{Base: netip.MustParsePrefix("fd00::/8"), Size: 64}}
}

// maxTries bounds the search in one pool, to about a second. All subnets of an
// IPv4 pool are tried; of a larger one it is chance that they are all in use.
const maxTries = 1 << 23

// ChooseSubnet4 returns a subnet of the first pool that has one which overlaps
// nothing in used; without pools, of DefaultPools4. Within a pool the order of
// trial comes from the seed: the same for the same one, and networks that are
// made at the same time, by one instance or several, rarely choose the same.
// Nil stands for nothing in use. When all are in use the error is
// errdefs.ErrResourceExhausted.
func ChooseSubnet4(seed string, pools []resource.SubnetPool, used iter.Seq[netip.Prefix]) (netip.Prefix, error) {
	if len(pools) == 0 {
		pools = DefaultPools4()
	}
	return choose(ipv4, seed, pools, used)
}

// ChooseSubnet6 is ChooseSubnet4 for IPv6; without pools, of DefaultPools6.
func ChooseSubnet6(seed string, pools []resource.SubnetPool, used iter.Seq[netip.Prefix]) (netip.Prefix, error) {
	if len(pools) == 0 {
		pools = DefaultPools6()
	}
	return choose("ipv6", seed, pools, used)
}

// ipv4 is how errors, and the seeds of choices that were made already, name that family.
const ipv4 = "ipv4"

func choose(family, seed string, pools []resource.SubnetPool, used iter.Seq[netip.Prefix]) (netip.Prefix, error) {
	taken := &occupancy{used: used, v4: family == ipv4}
	sum := sha256.Sum256([]byte(family + " subnet\x00" + seed))
	start, step := binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])|1 // odd: meets each once
	names := make([]string, len(pools))
	for i, pool := range pools {
		if err := pool.Validate(); err != nil {
			return netip.Prefix{}, err
		}
		if p, ok := chooseIn(pool, start, step, taken); ok {
			return p, nil
		}
		names[i] = pool.String()
	}
	return netip.Prefix{}, fmt.Errorf("%s subnet: each of the pool %s overlaps one in use; give a subnet, or add a pool to %s of [pools] in patchbayd's configuration: %w",
		family, strings.Join(names, ", "), family, errdefs.ErrResourceExhausted)
}

// chooseIn tries the subnets of one pool. There is a power of two of them, so an
// odd step meets each.
func chooseIn(pool resource.SubnetPool, start, step uint64, taken *occupancy) (netip.Prefix, bool) {
	bits := min(pool.Size-pool.Base.Bits(), 63) // the first 2^63 are enough
	mask := uint64(1)<<bits - 1
	for i := range min(mask, maxTries-1) + 1 {
		candidate := nth(pool, (start+i*step)&mask)
		if !taken.overlaps(candidate) {
			return candidate, true
		}
	}
	return netip.Prefix{}, false
}

// nth returns one subnet of a pool, counted from 0.
func nth(pool resource.SubnetPool, n uint64) netip.Prefix {
	b := pool.Base.Addr().As16()
	shift := pool.Base.Addr().BitLen() - pool.Size
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if shift >= 64 {
		high |= n << (shift - 64)
	} else {
		low |= n << shift
		high |= n >> (64 - shift) // nothing where shift is 0
	}
	binary.BigEndian.PutUint64(b[:8], high)
	binary.BigEndian.PutUint64(b[8:], low)
	return netip.PrefixFrom(netip.AddrFrom16(b).Unmap(), pool.Size)
}

// occupancy is what is in use of one family. Mostly one of the first candidates is free, and
// to go through all that is in use for each takes less than a table of it, above all of memory.
type occupancy struct {
	used   iter.Seq[netip.Prefix]
	v4     bool
	looked int
	table  *bart.Lite // nil: not needed yet
}

// looksWithoutTable is how many candidates are compared with all that is in use.
const looksWithoutTable = 4

func (o *occupancy) overlaps(candidate netip.Prefix) bool {
	if o.table != nil {
		return o.table.OverlapsPrefix(candidate)
	}
	if o.looked++; o.looked > looksWithoutTable {
		o.table = new(bart.Lite)
		o.each(func(p netip.Prefix) bool { o.table.Insert(p.Masked()); return true })
		return o.table.OverlapsPrefix(candidate)
	}
	found := false
	o.each(func(p netip.Prefix) bool { found = p.Overlaps(candidate); return !found })
	return found
}

// each calls f with the prefixes until it returns false; a default route is in nobody's way.
func (o *occupancy) each(f func(netip.Prefix) bool) {
	if o.used == nil {
		return
	}
	for p := range o.used {
		if p.IsValid() && p.Bits() > 0 && p.Addr().Is4() == o.v4 && !f(p) {
			return
		}
	}
}
