package message_test

import (
	"bytes"
	"errors"
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
	head, rest, err := message.AppendApart([]byte("before"), m)
	if err != nil {
		t.Fatal(err)
	}
	parts := rest.Parts
	if rest.Made != nil || len(parts) != len(made) || &parts[0][0] != &made[0][0] || &parts[1][0] != &made[1][0] {
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
	head, rest, err := message.AppendApart(nil, &apiserverv1.Network{Status: within})
	if err != nil || len(rest.Parts) != 0 {
		t.Fatalf("%d parts, %v", len(rest.Parts), err)
	}
	var got apiserverv1.Network
	if err := message.Unmarshal(head, &got); err != nil || len(got.GetStatus().GetAttachments()) != 1 {
		t.Errorf("got %v, %v", &got, err)
	}
}

// A list is read from its parts as it is at once, and what its struct has comes before.
func TestParts(t *testing.T) {
	t.Parallel()
	data, err := message.Append(nil, &apiserverv1.ContainerServiceListResponse{Containers: []*apiserverv1.Container{
		{
			Metadata: &typesv1.Metadata{Id: "one", Labels: map[string]string{"a": "b"}, CreatedAt: &message.Timestamp{Seconds: 1}},
			Configuration: &apiserverv1.ContainerConfiguration{
				Process: &typesv1.Process{Args: []string{"a", "b", "c"}}, Networks: []*typesv1.AttachmentConfiguration{{Network: "n", Aliases: []string{"x"}}, {Network: "m"}},
			},
		},
		{Status: &apiserverv1.ContainerStatus{Attachments: []*typesv1.Attachment{{Hostname: "h", Aliases: []string{"y", "z"}}, {Mtu: 1}, {Mtu: 2}}}},
		{},
		{Metadata: &typesv1.Metadata{Name: "last"}, Configuration: &apiserverv1.ContainerConfiguration{Networks: []*typesv1.AttachmentConfiguration{{Mtu: 3}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var want apiserverv1.ContainerServiceListResponse
	if err := message.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	whole := &apiserverv1.ContainerServiceListResponse{Containers: []*apiserverv1.Container{{Metadata: &typesv1.Metadata{Name: "first"}}}}
	whole.SetFields([][]byte{data, nil, data})
	all := append(append(whole.GetContainers(), want.GetContainers()...), want.GetContainers()...)
	for part, err := range message.Parts(whole) {
		for _, got := range part.GetContainers() {
			if err != nil || len(all) == 0 {
				t.Fatalf("%d are left, %v", len(all), err)
			}
			if !bytes.Equal(encoded(t, all[0]), encoded(t, got)) {
				t.Errorf("got %+v, want %+v", got, all[0])
			}
			all = all[1:]
		}
	}
	if len(all) > 0 {
		t.Errorf("%d are missing", len(all))
	}
}

func encoded(t *testing.T, m message.Message) []byte {
	t.Helper()
	data, err := message.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Memory does not grow with what is listed.
func TestPartsTakeTheSameMemory(t *testing.T) {
	count := func(length int) float64 {
		var m apiserverv1.ContainerServiceListResponse
		m.SetFields([][]byte{list(t, length)})
		return testing.AllocsPerRun(10, func() {
			for _, err := range message.Parts(&m) {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if few, many := count(10), count(1000); many > few {
		t.Errorf("1000 containers take %v allocations, 10 take %v", many, few)
	}
}

// The first fault ends a list, and so does who reads it.
func TestPartsEnd(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]string{"a field that is cut off": "\x0a\x05ab", "a container that is none": "\x0a\x02\x0a\x09"} {
		var m apiserverv1.ContainerServiceListResponse
		m.SetFields([][]byte{append(list(t, 2), rest...), list(t, 1)})
		var found int
		var last error
		for part, err := range message.Parts(&m) {
			last = err
			found += len(part.GetContainers())
		}
		if found != 2 || !errors.Is(last, message.ErrMalformed) {
			t.Errorf("%s: %d containers, %v", name, found, last)
		}
	}
	var m apiserverv1.ContainerServiceListResponse
	m.SetFields([][]byte{list(t, 2)})
	for part := range message.Parts(&m) {
		if len(part.GetContainers()) > 0 {
			break
		}
	}
}
