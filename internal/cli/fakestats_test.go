package cli_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	apiserverv1 "patchbay.dev/patchbay/api/patchbay/apiserver/v1"
	"patchbay.dev/patchbay/internal/wire/apiwire"
	"patchbay.dev/patchbay/resource"
)

// Stats counts the samples of each container: with each a second has gone by, of
// which it has used a quarter on the processor. The helper of "hung" does not
// answer.
func (s fakeContainers) Stats(_ context.Context, r *apiserverv1.ContainerServiceStatsRequest) (*apiserverv1.ContainerServiceStatsResponse, error) {
	s.server.record("Containers.Stats", r)
	var asked []*fakeContainer
	var faults []error
	for _, name := range r.GetNames() {
		c, err := s.find(name)
		if err == nil && !s.runs(c) {
			err = fmt.Errorf("container %s: is not running: %w", c.Name, errdefs.ErrFailedPrecondition)
		}
		switch {
		case err == nil:
			asked = append(asked, c)
		case !r.GetRunningOnly():
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if len(r.GetNames()) == 0 {
		for _, c := range s.server.containers {
			if c.Status.State == resource.ContainerRunning {
				asked = append(asked, c)
			}
		}
	}
	var out apiserverv1.ContainerServiceStatsResponse
	for _, c := range asked {
		out.Containers = append(out.Containers, apiwire.ContainerStatsToProto(c.sample()))
	}
	return &out, nil
}

func (s fakeContainers) runs(c *fakeContainer) bool {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return c.Status.State == resource.ContainerRunning
}

// sample takes the next sample. The server's mu is held.
func (c *fakeContainer) sample() resource.ContainerStats {
	out := resource.ContainerStats{ID: c.ID, Name: c.Name}
	if c.Name == "hung" {
		out.Fault = "its runtime helper does not answer"
		return out
	}
	c.samples++
	n := uint64(c.samples)
	out.Sample = resource.Sample{
		Time:      time.Unix(1_700_000_000+int64(n), 0).UTC(),
		CPU:       &resource.CPUUse{UsedNanoseconds: n * uint64(time.Second) / 4},
		Memory:    &resource.MemoryUse{UsedBytes: 12_000_000, CacheBytes: 2_000_000, LimitBytes: 64_000_000},
		Processes: &resource.ProcessUse{Count: 2},
		Attachments: []resource.AttachmentTraffic{{
			NetworkID: "0000000000000013", Network: "web", InterfaceName: "eth0",
			Received: &resource.Traffic{Bytes: 1000 * n, Packets: n}, Sent: &resource.Traffic{Bytes: 500 * n, Packets: n},
		}},
	}
	return out
}
