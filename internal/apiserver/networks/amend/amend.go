// Package amend changes the records of networks.
package amend

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"

	"patchbay.dev/patchbay/internal/apiserver/networks/addressing"
	"patchbay.dev/patchbay/resource"
)

// Changed is the record with the change.
func Changed(r resource.StoredNetwork, change resource.NetworkChange) resource.StoredNetwork {
	r.Labels = maps.Clone(r.Labels)
	if r.Labels == nil && len(change.Labels) > 0 {
		r.Labels = map[string]string{}
	}
	for _, key := range change.RemoveLabels {
		delete(r.Labels, key)
	}
	maps.Copy(r.Labels, change.Labels)
	if change.MTU != nil {
		r.Configuration.MTU = *change.MTU
	}
	if change.ReservedRanges != nil {
		r.Configuration.ReservedRanges = *change.ReservedRanges
	}
	if change.DNS != nil {
		r.Configuration.DNS = *change.DNS
	}
	return r
}

// SameForPlugin reports whether a change is none of the plugin's business.
func SameForPlugin(a, b resource.StoredNetwork) bool {
	return a.Configuration.MTU == b.Configuration.MTU && slices.Equal(a.Configuration.ReservedRanges, b.Configuration.ReservedRanges)
}

// Check reports every fault of a change at once.
func Check(before, next resource.StoredNetwork, change resource.NetworkChange) error {
	faults := []error{resource.ValidateLabels(next.Labels)}
	for _, key := range change.RemoveLabels {
		if _, has := before.Labels[key]; !has {
			faults = append(faults, fmt.Errorf("label %q: network %s has none of that key: %w", key, before.Name, errdefs.ErrInvalidArgument))
		}
	}
	whole := next.Configuration
	pinned := addressing.Wanted(next)
	whole.IPv4Subnet, whole.IPv6Subnet = pinned.IPv4, pinned.IPv6
	return errors.Join(append(faults, whole.Validate())...)
}
