package message_test

import (
	"bytes"
	"testing"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// What a message was made of stays where it is, behind what else it has.
func TestAppendApart(t *testing.T) {
	t.Parallel()
	m := &apiserverv1.ContainerServiceListResponse{Containers: []*apiserverv1.Container{{Metadata: &typesv1.Metadata{Id: "one"}}}}
	made := [][]byte{list(t, 1), list(t, 2)}
	m.SetFields(made)
	head, parts, err := message.AppendApart([]byte("before"), m)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != len(made) || &parts[0][0] != &made[0][0] || &parts[1][0] != &made[1][0] {
		t.Error("the parts are others")
	}
	whole, err := message.Append([]byte("before"), m)
	if err != nil {
		t.Fatal(err)
	}
	if got := append(head, bytes.Join(parts, nil)...); !bytes.Equal(got, whole) {
		t.Errorf("got %q, want %q", got, whole)
	}
}

// Parts of a message in a message are copied: its length is before them.
func TestAppendApartWithin(t *testing.T) {
	t.Parallel()
	within := &apiserverv1.NetworkStatus{}
	part, err := message.Append(nil, &apiserverv1.NetworkStatus{Attachments: []*apiserverv1.NetworkAttachment{{Container: "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	within.SetFields([][]byte{part})
	head, parts, err := message.AppendApart(nil, &apiserverv1.Network{Status: within})
	if err != nil || len(parts) != 0 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	var got apiserverv1.Network
	if err := message.Unmarshal(head, &got); err != nil || len(got.GetStatus().GetAttachments()) != 1 {
		t.Errorf("got %v, %v", &got, err)
	}
}
