package containers

import (
	"fmt"
	"io"
	"testing"
	"time"

	"patchbay.dev/patchbay/api/message"
	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
)

// A container that is added to a table takes the memory of the one before: what is used for the first time takes
// most of the time of a long list.
func TestContainersTakeLittleMemory(t *testing.T) {
	one := &apiserverv1.Container{
		Metadata: &typesv1.Metadata{Id: "0123456789abcdef0123456789abcdef", Name: "web", CreatedAt: message.NewTimestamp(time.Unix(1, 0))},
		Configuration: &apiserverv1.ContainerConfiguration{
			Image: "box:latest", Process: &typesv1.Process{Args: []string{"sleep", "1000000", "a b"}},
		},
		Status: &apiserverv1.ContainerStatus{State: apiserverv1.ContainerState_CONTAINER_STATE_RUNNING},
	}
	for i := range uint32(4) {
		one.Status.Attachments = append(one.Status.Attachments, &typesv1.Attachment{Network: fmt.Sprint("n", i), Ipv4Address: "10.1.2.3/24"})
		one.Configuration.Ports = append(one.Configuration.Ports, &typesv1.PublishedPort{Protocol: "tcp", HostPort: 8000 + i, ContainerPort: 80 + i})
	}
	table := newContainerTable(time.Unix(100, 0), false)
	table.addContainer(one)
	const age = 2 // what a duration in words takes
	if got := testing.AllocsPerRun(1000, func() { table.addContainer(one) }); got > age {
		t.Errorf("%v allocations for a container, want at most %d", got, age)
	}
	if err := table.Write(io.Discard); err != nil {
		t.Fatal(err)
	}
}
