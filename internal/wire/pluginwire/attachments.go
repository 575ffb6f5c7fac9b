package pluginwire

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// AttachmentsFromProto converts the leases of a network to its attachments, by container.
// Those that make no sense are left out, and the error names them.
func AttachmentsFromProto(leases []*pluginv1.Lease, networkID, network string) ([]resource.NetworkAttachment, error) {
	var out []resource.NetworkAttachment
	var faults []error
	for _, lease := range leases {
		a, err := wire.AttachmentFromProto(lease.GetAttachment())
		if err != nil {
			faults = append(faults, fmt.Errorf("lease %s: %w", lease.GetKey(), err))
			continue
		}
		a.NetworkID, a.Network = networkID, network
		id, _, _ := strings.Cut(lease.GetKey(), "/")
		out = append(out, resource.NetworkAttachment{
			Container:   lease.GetOwner(),
			ContainerID: id,
			LeaseState:  LeaseStateFromProto(lease.GetState()),
			Attachment:  a,
		})
	}
	slices.SortFunc(out, func(a, b resource.NetworkAttachment) int { return cmp.Compare(a.Container, b.Container) })
	return out, errors.Join(faults...)
}
