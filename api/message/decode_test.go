package message_test

import (
	"bytes"
	"strings"
	"testing"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// list is a message with many of one kind, which have texts.
func list(t *testing.T, count int) []byte {
	t.Helper()
	var m apiserverv1.ContainerServiceListResponse
	for range count {
		m.Containers = append(m.Containers, &apiserverv1.Container{Metadata: &typesv1.Metadata{Id: strings.Repeat("a", 64), Name: "one"}})
	}
	data, err := message.Append(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What follows one another has one piece of memory, and texts that are taken have none.
func TestAllocationsOfAList(t *testing.T) {
	count := func(length int) float64 {
		data := list(t, length)
		return testing.AllocsPerRun(10, func() {
			if err := message.Take(data, &apiserverv1.ContainerServiceListResponse{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := count(10), count(1000)
	if each := (many - few) / 990; each != 1 { // its metadata
		t.Errorf("a further container takes %v allocations, want 1", each)
	}
}

// Unmarshal leaves the data to its caller, Take does not.
func TestTake(t *testing.T) {
	t.Parallel()
	data := list(t, 2)
	var left, taken apiserverv1.ContainerServiceListResponse
	if err := message.Unmarshal(data, &left); err != nil {
		t.Fatal(err)
	}
	if err := message.Take(data, &taken); err != nil {
		t.Fatal(err)
	}
	copy(data, bytes.ReplaceAll(data, []byte("one"), []byte("two")))
	for i, want := range map[*apiserverv1.ContainerServiceListResponse]string{&left: "one", &taken: "two"} {
		for _, c := range i.GetContainers() {
			if got := c.GetMetadata().GetName(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
}
