package pluginwire_test

import (
	"errors"
	"slices"
	"testing"

	"patchbay.dev/patchbay/api/message"
	pluginv1 "patchbay.dev/patchbay/api/patchbay/plugin/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/pluginwire"
)

// A lease that makes no sense is told apart from an answer that is torn: other leases follow it.
func TestAttachmentsFromProto(t *testing.T) {
	t.Parallel()
	data, err := message.Append(nil, &pluginv1.ListResponse{Leases: []*pluginv1.Lease{
		{Key: "1/0", Owner: "a", Attachment: &typesv1.Attachment{Network: "told", Ipv4Address: "10.0.0.2/24"}},
		{Key: "2/0", Owner: "b", Attachment: &typesv1.Attachment{Ipv4Address: "10.0.0.2"}},
		{Key: "3/0", Owner: "c"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var answer pluginv1.ListResponse
	answer.SetFields([][]byte{data, {0xff}})
	var found []string
	for a, err := range pluginwire.AttachmentsFromProto(&answer, "1f", "web") {
		switch {
		case err == nil && a.Attachment.NetworkID == "1f" && a.Attachment.Network == "web":
			found = append(found, a.Container+" "+a.ContainerID)
		case errors.Is(err, pluginwire.ErrLease):
			found = append(found, "no sense")
		case errors.Is(err, message.ErrMalformed):
			found = append(found, "torn")
		default:
			t.Errorf("%+v, %v", a, err)
		}
	}
	if want := []string{"a 1", "no sense", "c 3", "torn"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}
