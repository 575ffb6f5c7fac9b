// Package shown tells a network that is as it was described before from one of which
// something else is to be said.
package shown

import (
	"maps"
	"slices"
	"sync/atomic"

	"patchbay.dev/patchbay/internal/apiserver/snapshot"
	"patchbay.dev/patchbay/resource"
)

// Shown is a network as it was described last. The zero value is of one that was not. It is
// safe for concurrent use.
type Shown struct {
	as atomic.Pointer[snapshot.Of[resource.Network]]
}

// Describe returns what there is to say of the network now: what it has returned before,
// where nothing else is to be said.
func (s *Shown) Describe(now *resource.Network) *snapshot.Of[resource.Network] {
	if before := s.as.Load(); before != nil && same(&before.Value, now) {
		return before
	}
	other := &snapshot.Of[resource.Network]{Value: *now}
	s.as.Store(other)
	return other
}

func same(a, b *resource.Network) bool {
	return sameMetadata(a.Metadata, b.Metadata) &&
		sameConfiguration(&a.Configuration, &b.Configuration) && sameStatus(&a.Status, &b.Status)
}

func sameMetadata(a, b resource.Metadata) bool {
	return a.ID == b.ID && a.Name == b.Name && a.CreatedAt.Equal(b.CreatedAt) && maps.Equal(a.Labels, b.Labels)
}

func sameConfiguration(a, b *resource.NetworkConfiguration) bool {
	return a.Plugin == b.Plugin &&
		a.IPv4Subnet == b.IPv4Subnet && a.IPv6Subnet == b.IPv6Subnet && a.MTU == b.MTU &&
		maps.Equal(a.Options, b.Options) && slices.Equal(a.Routes, b.Routes) &&
		slices.Equal(a.ReservedRanges, b.ReservedRanges) &&
		a.IPv4Disabled == b.IPv4Disabled && a.IPv6Disabled == b.IPv6Disabled &&
		sameDNS(a.DNS, b.DNS)
}

func sameDNS(a, b resource.DNSConfiguration) bool {
	return slices.Equal(a.Servers, b.Servers) && slices.Equal(a.Search, b.Search) && slices.Equal(a.Options, b.Options)
}

// sameStatus is of statuses without attachments: only who asks for one network is told these.
func sameStatus(a, b *resource.NetworkStatus) bool {
	return a.State == b.State && a.Message == b.Message &&
		a.IPv4Subnet == b.IPv4Subnet && a.IPv4Gateway == b.IPv4Gateway &&
		a.IPv6Subnet == b.IPv6Subnet && a.IPv6Gateway == b.IPv6Gateway && a.MTU == b.MTU &&
		a.AddressesInUse == b.AddressesInUse && a.AddressesTotal == b.AddressesTotal &&
		a.AddressesReserved == b.AddressesReserved &&
		a.IPv4Addresses == b.IPv4Addresses && a.IPv6Addresses == b.IPv6Addresses &&
		slices.Equal(a.Warnings, b.Warnings) &&
		a.PluginPID == b.PluginPID && a.BuiltIn == b.BuiltIn &&
		len(a.Attachments)+len(b.Attachments) == 0
}
