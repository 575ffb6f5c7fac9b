package ipam

import (
	"math"
	"net/netip"
	"slices"

	"patchbay.dev/patchbay/resource"
)

// hostRange is a range of host parts, both ends included.
type hostRange struct{ first, last uint64 }

// SetRanges makes the given ranges those that are given on request only, in
// place of those before. What is outside the subnet is ignored; who has an
// address of them keeps it.
func (a *Allocator) SetRanges(ranges []resource.AddressRange) {
	first, last := a.bounds()
	var all []hostRange
	for _, r := range ranges {
		if r.First.Is4() != a.subnet.Addr().Is4() || r.Last.Less(a.addr(first)) || a.addr(last).Less(r.First) {
			continue
		}
		from, to := first, last
		if a.addr(first).Less(r.First) {
			from, _ = a.host(r.First)
		}
		if r.Last.Less(a.addr(last)) {
			to, _ = a.host(r.Last)
		}
		all = append(all, hostRange{from, to})
	}
	a.ranges = merge(all)
}

// merge joins ranges that overlap or touch, in order.
func merge(all []hostRange) []hostRange {
	slices.SortFunc(all, func(a, b hostRange) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	var out []hostRange
	for _, r := range all {
		if n := len(out); n > 0 && (out[n-1].last == math.MaxUint64 || r.first <= out[n-1].last+1) {
			out[n-1].last = max(out[n-1].last, r.last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// rangeOf returns the range that a host part is in.
func (a *Allocator) rangeOf(host uint64) (hostRange, bool) {
	i, _ := slices.BinarySearchFunc(a.ranges, host, func(r hostRange, h uint64) int {
		switch {
		case r.last < h:
			return -1
		case r.first > h:
			return 1
		}
		return 0
	})
	if i < len(a.ranges) && a.ranges[i].first <= host && host <= a.ranges[i].last {
		return a.ranges[i], true
	}
	return hostRange{}, false
}

func (a *Allocator) onRequestOnly(addr netip.Addr) bool {
	host, ok := a.host(addr)
	if !ok {
		return false
	}
	_, in := a.rangeOf(host)
	return in
}

// Reserved returns how many addresses of the total are given on request only:
// those of the ranges, and those set aside for keys that do not have them now;
// it saturates.
func (a *Allocator) Reserved() uint64 {
	var n uint64
	for _, r := range a.ranges {
		size := r.last - r.first
		if size >= math.MaxUint64-n {
			return math.MaxUint64
		}
		n += size + 1
	}
	for addr := range a.excluded {
		if a.onRequestOnly(addr) {
			n-- // not one of the total
		}
	}
	for addr := range a.reserver {
		if _, used := a.owner[addr]; !used && !a.onRequestOnly(addr) {
			n++
		}
	}
	return n
}
