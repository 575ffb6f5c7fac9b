package pluginwire

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"patchbay.dev/patchbay/api/message"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// ErrLease is in the error of a lease that makes no sense.
var ErrLease = errors.New("no sense in a lease")

// AttachmentsFromProto converts the leases of a network to its attachments, one after the other. What is in one may be
// a part of the answer, which message.Parts reads. ErrLease is in the
// error that stands for a lease that makes no sense. Any other one stands for the rest of the answer.
func AttachmentsFromProto(answer *pluginv1.ListResponse, networkID, network string) iter.Seq2[resource.NetworkAttachment, error] {
	return func(yield func(resource.NetworkAttachment, error) bool) {
		for part, err := range message.Parts(answer) {
			if err != nil {
				yield(resource.NetworkAttachment{}, err)
				return
			}
			for _, lease := range part.GetLeases() {
				a, err := attachmentFromProto(lease)
				if err != nil {
					err = fmt.Errorf("%w: %s: %w", ErrLease, lease.GetKey(), err)
				}
				a.Attachment.NetworkID, a.Attachment.Network = networkID, network
				if !yield(a, err) {
					return
				}
			}
		}
	}
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
