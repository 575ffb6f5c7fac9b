package pluginwire

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchbay.dev/patchbay/api/message"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// AttachmentsFromProto converts the leases of a network to its attachments, by container.
// Those that make no sense are left out, and the error names them.
func AttachmentsFromProto(answer *pluginv1.ListResponse, networkID, network string) ([]resource.NetworkAttachment, error) {
	out := make([]resource.NetworkAttachment, 0, len(answer.GetLeases())+answer.Count())
	var faults []error
	for part, err := range message.Parts(answer) {
		if err != nil {
			faults = append(faults, err)
			break
		}
		for _, lease := range part.GetLeases() {
			a, err := attachmentFromProto(lease)
			if err != nil {
				faults = append(faults, fmt.Errorf("lease %s: %w", lease.GetKey(), err))
				continue
			}
			a.Attachment.NetworkID, a.Attachment.Network = networkID, network
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b resource.NetworkAttachment) int { return cmp.Compare(a.Container, b.Container) })
	return out, errors.Join(faults...)
}

func attachmentFromProto(lease *pluginv1.Lease) (resource.NetworkAttachment, error) {
	a, err := wire.AttachmentFromProto(lease.GetAttachment())
	id, _, _ := strings.Cut(lease.GetKey(), "/")
	return resource.NetworkAttachment{
		Container:   lease.GetOwner(),
		ContainerID: id,
		LeaseState:  LeaseStateFromProto(lease.GetState()),
		Attachment:  a,
	}, err
}
