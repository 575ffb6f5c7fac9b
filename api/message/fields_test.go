package message_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

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

func sequence(length int, torn error) iter.Seq2[[]byte, error] {
	return message.Sequence(func(yield func(int, error) bool) {
		for i := range length {
			if !yield(i, nil) {
				return
			}
		}
		if torn != nil {
			yield(0, torn)
		}
	}, func(i int) message.Message {
		return &apiserverv1.ContainerServiceListResponse{Containers: []*apiserverv1.Container{{Metadata: &typesv1.Metadata{Id: strconv.Itoa(i), Name: strings.Repeat("x", i)}}}}
	})
}

// What is made one after the other is what is made at once, wherever it is copied to.
func TestSequence(t *testing.T) {
	t.Parallel()
	const length = 1000
	var want []byte
	for part, err := range sequence(length, nil) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, part...)
	}
	var m apiserverv1.ContainerServiceListResponse
	m.SetSequence(sequence(length, nil))
	whole, err := message.Append(nil, &m)
	if err != nil || !bytes.Equal(whole, want) {
		t.Errorf("whole: %d bytes, %v, want %d", len(whole), err, len(want))
	}
	head, rest, err := message.AppendApart(nil, &m)
	if err != nil || len(head) > 0 || rest.Made == nil {
		t.Errorf("apart: %q and %v, %v", head, rest, err)
	}
	parts, err := message.Gather(rest.Made)
	if err != nil || !bytes.Equal(bytes.Join(parts, nil), want) || len(parts) > length/10 {
		t.Errorf("gathered: %d parts, %v", len(parts), err)
	}
	m.SetBody(bytes.NewReader(want))
	found := 0
	for part, err := range message.Parts(&m) {
		for _, c := range part.GetContainers() {
			if id := c.GetMetadata().GetId(); err != nil || id != strconv.Itoa(found) || len(c.GetMetadata().GetName()) != found {
				t.Fatalf("container %d: %s, %v", found, id, err)
			}
			found++
		}
	}
	if found != length {
		t.Errorf("read: %d, want %d", found, length)
	}
}

// An error of one that cannot be made is that of all.
func TestSequenceEnds(t *testing.T) {
	t.Parallel()
	torn := errors.New("torn")
	var m apiserverv1.ContainerServiceListResponse
	m.SetSequence(sequence(3, torn))
	if _, err := message.Append(nil, &m); !errors.Is(err, torn) {
		t.Errorf("whole: %v", err)
	}
	if _, err := message.Gather(sequence(3, torn)); !errors.Is(err, torn) {
		t.Errorf("gathered: %v", err)
	}
}

// A body is read piece by piece, on from where a range has ended, up to its first fault.
func TestPartsOfABody(t *testing.T) {
	t.Parallel()
	torn := errors.New("torn")
	for name, end := range map[string]struct {
		rest io.Reader
		want error
	}{
		"whole":         {strings.NewReader(""), nil},
		"cut":           {strings.NewReader("\x0a\x05ab"), message.ErrMalformed},
		"not a message": {strings.NewReader("\x0a\x02\x0a\x09"), message.ErrMalformed},
		"torn":          {iotest.ErrReader(torn), torn},
	} {
		var m apiserverv1.ContainerServiceListResponse
		m.SetBody(iotest.OneByteReader(io.MultiReader(bytes.NewReader(list(t, 3)), end.rest)))
		parts := message.Parts(&m)
		found := 0
		for part := range parts {
			if len(part.GetContainers()) > 0 {
				found++
				break
			}
		}
		var last error
		for part, err := range parts {
			last = err
			found += len(part.GetContainers())
		}
		if found != 3 || !errors.Is(last, end.want) {
			t.Errorf("%s: %d containers, %v, want %v", name, found, last, end.want)
		}
		for range parts {
			t.Errorf("%s: goes on after its end", name)
		}
	}
}

// However long a body is, it is read into the same memory.
func TestBodyTakesTheSameMemory(t *testing.T) {
	count := func(length int) float64 {
		data := list(t, length)
		return testing.AllocsPerRun(10, func() {
			var m apiserverv1.ContainerServiceListResponse
			m.SetBody(bytes.NewReader(data))
			for _, err := range message.Parts(&m) {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if few, many := count(10), count(10_000); many > few {
		t.Errorf("10,000 containers take %v allocations, 10 take %v", many, few)
	}
}
