package pluginwire

import (
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// Found is what a plugin says about a name or an address.
type Found struct {
	Attachment resource.Attachment
	Owner      string // name of the container; empty: unknown
}

// FoundToProto converts the answer of a lookup.
func FoundToProto(all []Found) *pluginv1.LookupResponse {
	return &pluginv1.LookupResponse{
		Attachments: field.Each(all, func(f Found) *typesv1.Attachment { return wire.AttachmentToProto(f.Attachment) }),
		Owners:      field.Each(all, func(f Found) string { return f.Owner }),
	}
}

// FoundFromProto converts the answer of a lookup; a plugin may leave owners out.
func FoundFromProto(r *pluginv1.LookupResponse) ([]Found, error) {
	as, err := wire.AttachmentsFromProto(r.GetAttachments())
	out := make([]Found, len(as))
	for i, a := range as {
		out[i].Attachment = a
		if i < len(r.GetOwners()) {
			out[i].Owner = r.GetOwners()[i]
		}
	}
	return out, err
}
